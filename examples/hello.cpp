// hello.cpp: two goroutines and a channel.
#include <weft/weft.hpp>

#include <iostream>
#include <string>

int main() {
  return weft::run([] {
    auto words = weft::make_chan<std::string>();
    weft::go([words] {
      for (const char* word : {"Hello", "from", "a", "goroutine!"}) words.send(word);
      words.close();
    });
    for (const std::string& word : words) std::cout << word << '\n';
  });
}
