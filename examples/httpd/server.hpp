// server.hpp: accepts connections, and tells once a second what the scheduler does with them.
#pragma once

#include "options.hpp"

#include <weft/chan.hpp>

namespace httpd {

/// Serves until `stop` is closed. Returns the program's status. Runs as a goroutine.
int serve(const options& settings, weft::chan<void> stop);

}  // namespace httpd
