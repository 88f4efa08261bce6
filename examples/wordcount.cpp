// wordcount.cpp: counts the words of a text file in parallel, and compares with the plain way. One goroutine cuts the text into
// pieces at line ends, some count the words of a piece each, and main adds up what they found.   wordcount [FILE]
#include <weft/weft.hpp>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using counts = std::map<std::string, long, std::less<>>;

void count_words(std::string_view text, counts& into) {
  const auto is_letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  std::string word;
  for (auto at = text.begin();;) {
    at = std::find_if(at, text.end(), is_letter);
    if (at == text.end()) return;
    const auto end = std::find_if_not(at, text.end(), is_letter);
    word.assign(at, end);
    for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    ++into[word];
    at = end;
  }
}

/// Pieces of about `size` bytes that end where a line does. The views stay valid as long as the text.
void cut(std::string_view text, std::size_t size, weft::sender<std::string_view> to) {
  while (!text.empty()) {
    const std::size_t newline = size < text.size() ? text.find('\n', size) : text.npos;
    const std::string_view piece = text.substr(0, newline == text.npos ? text.npos : newline + 1);
    to.send(piece);
    text.remove_prefix(piece.size());
  }
  to.close();
}

counts parallel_count(std::string_view text, int counters) {
  const auto pieces = weft::make_chan<std::string_view>(16);
  weft::go(cut, text, 2048, weft::sender<std::string_view>(pieces));
  std::vector<weft::task<counts>> tasks;
  for (int i = 0; i < counters; ++i) {
    tasks.push_back(weft::async([pieces] {
      counts mine;
      for (std::string_view piece : pieces) count_words(piece, mine);
      return mine;
    }));
  }
  counts all;
  for (auto& t : tasks)
    for (const auto& [word, n] : t.join()) all[word] += n;
  return all;
}

/// For machines without the license texts.
std::string generated_text() {
  static constexpr const char* words[] = {"the", "weft", "goes", "over", "and", "under", "warp", "threads", "of", "a", "loom"};
  std::string text;
  unsigned seed = 1;
  for (int line = 0; line < 3000; ++line) {
    for (int i = 0; i < 9; ++i) {
      seed = seed * 1664525 + 1013904223;
      text += words[(seed >> 16) % std::size(words)];
      text += i == 8 ? ".\n" : " ";
    }
  }
  return text;
}

int app(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "/usr/share/common-licenses/GPL-3";
  std::string text;
  if (std::ifstream file(name, std::ios::binary); file) {
    text.assign(std::istreambuf_iterator<char>(file), {});
  } else if (argc > 1) {
    std::fprintf(stderr, "wordcount: cannot read %s\n", name.c_str());
    return 1;
  } else {
    text = generated_text();
  }

  counts plain;
  count_words(text, plain);
  const counts parallel = parallel_count(text, 2 * weft::procs());

  long total = 0;
  std::vector<std::pair<long, std::string_view>> order;
  for (const auto& [word, n] : parallel) {
    total += n;
    order.emplace_back(-n, word);
  }
  std::sort(order.begin(), order.end());
  std::printf("%ld words, %zu different\n", total, parallel.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 5); ++i)
    std::printf("%6ld %.*s\n", -order[i].first, static_cast<int>(order[i].second.size()), order[i].second.data());
  if (parallel != plain) return std::puts("counted one after the other it is something else"), 1;
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return weft::run(app, argc, argv); }
