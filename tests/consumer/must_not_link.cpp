// refused: undefined reference to .weft_init_nowhere
// A dependency that is not there is noticed when the program is linked, not when a customer starts it.
#include <weft/weft.hpp>

#if defined(FINE)
WEFT_INIT(here) {}
#else
WEFT_INIT(here, nowhere) {}
#endif

int main() {
  return weft::run([] {});
}
