// signal_test.cpp: signals from outside as messages. raise() is as good as a kill from elsewhere.
#include <csignal>
#include <stdexcept>
#include <string>

#include <unistd.h>

#include "support/support.hpp"

using namespace weft::test;

namespace {
// A receive that does not hang the test for ever.
int next(const weft::chan<int>& c) {
  const auto got = c.recv_for(limit(10s));
  return got ? *got : -1;
}
}  // namespace

// PANIC-12. The usual thing: end in good order.
WEFT_TEST(signal, arrives_as_a_message_and_does_nothing_else) {
  const auto c = weft::make_chan<int>(2);
  weft::signal::notify(c, {SIGINT, SIGTERM});
  ::raise(SIGTERM);
  EXPECT_EQ(next(c), SIGTERM);
  ::raise(SIGINT);
  EXPECT_EQ(next(c), SIGINT);
  weft::signal::stop(c);
}

// PANIC-12. Who sends is a thread that must go on, whatever the receivers do.
WEFT_TEST(signal, is_dropped_where_there_is_no_room_and_reaches_the_others) {
  const auto full = weft::make_chan<int>(1), unbuffered = weft::make_chan<int>(), roomy = weft::make_chan<int>(10);
  for (const auto& c : {full, unbuffered, roomy}) weft::signal::notify(c, {SIGUSR1});
  for (int i = 0; i < 5; ++i) {
    ::raise(SIGUSR1);
    EXPECT_EQ(next(roomy), SIGUSR1);
  }
  for (const auto& c : {full, unbuffered, roomy}) weft::signal::stop(c);
  EXPECT_EQ(full.size(), 1);
  EXPECT_EQ(unbuffered.try_recv().error(), weft::errc::would_block);
}

WEFT_TEST(signal, may_be_asked_for_bit_by_bit) {
  const auto c = weft::make_chan<int>(4);
  weft::signal::notify(c, {SIGUSR1});
  weft::signal::notify(c, {SIGUSR2, SIGUSR1});
  ::raise(SIGUSR2);
  EXPECT_EQ(next(c), SIGUSR2);
  ::raise(SIGUSR1);
  EXPECT_EQ(next(c), SIGUSR1);
  weft::signal::stop(c);
  EXPECT_EQ(c.size(), 0) << "one channel gets a signal once";
}

WEFT_TEST(signal, that_is_ignored_reaches_nobody_until_it_is_asked_for_again) {
  const auto c = weft::make_chan<int>(4);
  weft::signal::notify(c, {SIGUSR1, SIGUSR2});
  EXPECT_FALSE(weft::signal::ignored(SIGUSR1));
  weft::signal::ignore({SIGUSR1});
  EXPECT_TRUE(weft::signal::ignored(SIGUSR1));
  ::raise(SIGUSR1);
  ::raise(SIGUSR2);
  EXPECT_EQ(next(c), SIGUSR2);
  EXPECT_EQ(c.size(), 0);
  weft::signal::notify(c, {SIGUSR1});
  EXPECT_FALSE(weft::signal::ignored(SIGUSR1));
  ::raise(SIGUSR1);
  EXPECT_EQ(next(c), SIGUSR1);
  weft::signal::stop(c);
}

WEFT_TEST(signal, is_not_sent_to_a_closed_channel) {
  const auto c = weft::make_chan<int>(1), other = weft::make_chan<int>(1);
  weft::signal::notify(c, {SIGUSR1});
  weft::signal::notify(other, {SIGUSR1});
  c.close();
  ::raise(SIGUSR1);
  EXPECT_EQ(next(other), SIGUSR1);
  weft::signal::stop(other);
}

namespace {
int handled = 0;
void handles(int) { ++handled; }
}  // namespace
// A library that asks for a signal and is done with it leaves things as they were.
WEFT_TEST(signal, does_again_what_it_did_before_when_nobody_asks_any_more) {
  std::signal(SIGUSR1, &handles);
  const auto a = weft::make_chan<int>(1), b = weft::make_chan<int>(1);
  weft::signal::notify(a, {SIGUSR1});
  weft::signal::notify(b, {SIGUSR1});
  weft::signal::stop(a);
  ::raise(SIGUSR1);
  EXPECT_EQ(next(b), SIGUSR1);
  EXPECT_EQ(handled, 0);
  weft::signal::reset({SIGUSR1});
  ::raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  EXPECT_EQ(a.size() + b.size(), 0);
  weft::signal::ignore({SIGUSR1});
  ::raise(SIGUSR1);
  EXPECT_EQ(handled, 1);
  weft::signal::reset({SIGUSR1});
  ::raise(SIGUSR1);
  EXPECT_EQ(handled, 2);
  std::signal(SIGUSR1, SIG_DFL);
}

WEFT_TEST(signal, that_cannot_be_had_is_refused) {
  const auto c = weft::make_chan<int>(1);
  for (const int s : {0, -1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGFPE}) {
    EXPECT_THROW(weft::signal::notify(c, {s}), std::invalid_argument) << s;
    EXPECT_THROW(weft::signal::ignore({s}), std::invalid_argument) << s;
  }
  EXPECT_THROW(weft::signal::notify({}, {SIGUSR1}), std::invalid_argument);
}

WEFT_CHILD(waits_for_a_signal) {
  return weft::run([] {
    const auto c = weft::make_chan<int>(1);
    weft::signal::notify(c, {SIGTERM});
    weft::go([] {
      weft::this_goroutine::sleep_for(20ms);
      ::kill(::getpid(), SIGTERM);
    });
    return c.recv() == SIGTERM ? 0 : 1;
  });
}
WEFT_CHILD(waits_for_no_signal_any_more) {
  return weft::run([] {
    const auto c = weft::make_chan<int>(1);
    weft::signal::notify(c, {SIGTERM});
    weft::signal::stop(c);
    static_cast<void>(c.recv());
  });
}
WEFT_CHILD(quits_by_message) {
  return weft::run([] {
    const auto c = weft::make_chan<int>(1);
    weft::signal::notify(c, {SIGQUIT});
    ::raise(SIGQUIT);
    return c.recv() == SIGQUIT ? 0 : 1;
  });
}
WEFT_CHILD(ends_by_the_signal_after_reset) {
  return weft::run([] {
    const auto c = weft::make_chan<int>(1);
    weft::signal::notify(c, {SIGTERM});
    weft::signal::reset({SIGTERM});
    ::raise(SIGTERM);
    weft::this_goroutine::sleep_for(10s);
  });
}
// DEADLOCK-06. A server that waits for SIGTERM and nothing else is not stuck.
TEST(signal, that_may_come_is_no_deadlock) {
  const auto r = child("waits_for_a_signal");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
  if (under_emulator) return;  // it has a thread of its own, which for all we know will do something
  const auto none = child("waits_for_no_signal_any_more");
  EXPECT_TRUE(ended_with(none, 2));
  EXPECT_TRUE(starts_with(none.err, "fatal error: all goroutines are asleep - deadlock!"));
}
TEST(signal, quit_is_a_message_too_where_it_is_asked_for) {
  const auto r = child("quits_by_message");
  EXPECT_TRUE(ended_with(r, 0));
  EXPECT_EQ(r.err, "");
}
// PANIC-12
TEST(signal, ends_the_process_again_after_a_reset) { EXPECT_EQ(child("ends_by_the_signal_after_reset").signal, SIGTERM); }
