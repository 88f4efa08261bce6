// weft.hpp: all of weft's core. Networking is in <weft/net.hpp>, which this includes too.
#pragma once

#include <weft/async.hpp>
#include <weft/blocking.hpp>
#include <weft/call_c.hpp>
#include <weft/chan.hpp>
#include <weft/context.hpp>
#include <weft/defer.hpp>
#include <weft/error.hpp>
#include <weft/go.hpp>
#include <weft/init.hpp>
#include <weft/mutex.hpp>
#include <weft/net.hpp>
#include <weft/run.hpp>
#include <weft/select.hpp>
#include <weft/stats.hpp>
#include <weft/this_goroutine.hpp>
#include <weft/timer.hpp>
#include <weft/wait_group.hpp>
