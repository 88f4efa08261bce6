// options.hpp: the command line of httpd.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace httpd {

struct options {
  std::string directory = ".";
  std::string host = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: the system chooses
  int procs = 0;              // 0: WEFT_PROCS, else as many as the machine has
  bool quiet = false;
  bool use_openat2 = true;
  std::chrono::milliseconds header_timeout{10'000};  // from a request's first byte to the end of its header
  std::chrono::milliseconds idle_timeout{5'000};     // between two requests on one connection
  std::chrono::milliseconds write_timeout{30'000};   // for a piece of a response to be taken by the client
};

/// Reads the command line. Ends the process for --help (status 0) and for what it does not understand (2).
options parse_options(int argc, char** argv);

}  // namespace httpd
