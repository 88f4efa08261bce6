// co.hpp: all of weft's C++20 coroutines.
#pragma once

#include <weft/co/chan.hpp>
#include <weft/co/net.hpp>
#include <weft/co/select.hpp>
#include <weft/co/sync.hpp>
#include <weft/co/task.hpp>
