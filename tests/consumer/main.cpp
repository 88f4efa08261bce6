// A user's program, small: the three consumer projects build and run it.
#include <cstdio>

#include <weft/weft.hpp>

int points();  // points.cpp: a function in a target with safe points

int main() {
  return weft::run([] {
    auto answers = weft::make_chan<int>();
    weft::go([answers]() mutable {
      answers.send(40 + points());
      answers.close();
    });
    const auto answer = answers.recv();
    std::printf("%d\n", answer.value_or(0));
    return answer == 42 ? 0 : 1;
  });
}
