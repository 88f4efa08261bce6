// points.cpp: code that computes, in a target of weft_safepoints().
[[gnu::noinline]] static int step(int i) {
  asm volatile("");
  return i + 1;
}

int points() {
  int n = 0;
  while (n < 2) n = step(n);
  return n;
}
