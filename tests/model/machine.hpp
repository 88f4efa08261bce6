// model/machine.hpp: what a model may do with the machine that machine.cpp plays.
#pragma once

#include <cstdint>

namespace weft::model {

inline constexpr int event_fd = 4;

/// The kernel says that fd (5 to 15) is ready: EPOLLIN, EPOLLOUT.
void make_ready(int fd, std::uint32_t events);
void forget_descriptors();

}  // namespace weft::model
