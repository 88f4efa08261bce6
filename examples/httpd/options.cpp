#include "options.hpp"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace httpd {
namespace {

constexpr char usage[] =
    "usage: httpd [DIR] [--port N] [--host ADDRESS] [--procs N] [--quiet] ...\n"
    "Serves the files in DIR (default: the current directory) over HTTP/1.1. Ctrl-C ends it.\n"
    "  --port N              the port to listen on; 0 takes any free one   (8080)\n"
    "  --host ADDRESS        the address to listen on                      (127.0.0.1)\n"
    "  --procs N             how many goroutines run at once               (as many as there are CPUs)\n"
    "  --quiet               no line each second\n"
    "  --header-timeout S    seconds for the header of a request to arrive (10)\n"
    "  --idle-timeout S      seconds that a connection may be kept idle    (5)\n"
    "  --write-timeout S     seconds for a client to take what is sent     (30)\n"
    "  --no-openat2          look at each part of a path, as for kernels before 5.6; refuses symbolic links\n";

[[noreturn]] void wrong(std::string_view what, std::string_view argument) {
  std::fprintf(stderr, "httpd: %.*s: %.*s\n%s", static_cast<int>(what.size()), what.data(), static_cast<int>(argument.size()),
               argument.data(), usage);
  std::exit(2);
}

template <class T>
T number(std::string_view option, std::string_view text, T least, T most) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value >= least && value <= most))
    wrong(std::string(option) + " cannot be", text);
  return value;
}

std::chrono::milliseconds seconds(std::string_view option, std::string_view text) {
  return std::chrono::milliseconds(static_cast<long>(number(option, text, 0.001, 86'400.0) * 1000));
}

}  // namespace

options parse_options(int argc, char** argv) {
  options o;
  bool have_directory = false;
  bool only_names = false;  // after "--"
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (only_names || name.size() < 2 || name[0] != '-') {
      if (have_directory) wrong("one directory only", name);
      o.directory = name;
      have_directory = true;
      continue;
    }
    std::string_view given;
    const std::size_t equals = name.find('=');
    const bool attached = equals != name.npos;
    if (attached) given = name.substr(equals + 1), name = name.substr(0, equals);
    const auto value = [&]() -> std::string_view {
      if (attached) return given;
      if (i + 1 == argc) wrong("a value is missing after", name);
      return argv[++i];
    };
    if (name == "--") only_names = true;
    else if (name == "--port") o.port = number<std::uint16_t>(name, value(), 0, 65535);
    else if (name == "--host") o.host = value();
    else if (name == "--procs") o.procs = number(name, value(), 1, 1024);
    else if (name == "--header-timeout") o.header_timeout = seconds(name, value());
    else if (name == "--idle-timeout") o.idle_timeout = seconds(name, value());
    else if (name == "--write-timeout") o.write_timeout = seconds(name, value());
    else if (attached) wrong("unknown option, or one that takes no value", argv[i]);
    else if (name == "--quiet" || name == "-q") o.quiet = true;
    else if (name == "--no-openat2") o.use_openat2 = false;
    else if (name == "--help" || name == "-h") std::fputs(usage, stdout), std::exit(0);
    else wrong("unknown option", name);
  }
  return o;
}

}  // namespace httpd
