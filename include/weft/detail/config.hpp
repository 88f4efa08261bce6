// detail/config.hpp: what every public header needs from the compiler. Macros start with WEFT_.
#pragma once

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0

#define WEFT_API __attribute__((visibility("default")))
#define WEFT_COLD __attribute__((cold, noinline))
#define WEFT_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x) __builtin_expect(!!(x), 0)
