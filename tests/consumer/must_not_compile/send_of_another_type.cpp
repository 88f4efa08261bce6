// refused: (no matching|cannot convert|invalid conversion|no viable conversion)
#include <string>

#include <weft/weft.hpp>

void f(weft::chan<std::string> c) {
#ifdef FINE
  c.send("text");
#else
  c.send(f);
#endif
}
