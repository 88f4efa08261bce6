"""The Mann-Whitney test: how likely two lists of figures differ as much as these do if nothing had changed.

It asks only how the figures are ordered, so that one run which something disturbed cannot decide it.
"""
import math
from functools import lru_cache


def p_value(a, b):
    """Two-sided. Exact for up to 30 figures a side without ties, else by the normal approximation, corrected for ties."""
    n, m = len(a), len(b)
    if n == 0 or m == 0:
        return 1.0
    u = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
    u = min(u, n * m - u)
    values = [*a, *b]
    counts = [values.count(v) for v in set(values)]
    if max(counts) == 1 and max(n, m) <= 30:
        ways = sum(orders(n, m, k) for k in range(int(u) + 1))
        return min(1.0, 2 * ways / math.comb(n + m, n))
    total = n + m
    ties = sum(t**3 - t for t in counts)
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0  # all figures are the same
    z = max(0, n * m / 2 - u - 0.5) / math.sqrt(variance)
    return min(1.0, math.erfc(z / math.sqrt(2)))


@lru_cache(maxsize=None)
def orders(n, m, u):
    """In how many orders of n and m figures the statistic is u: the largest is one of the n, which beats all m, or not."""
    if u < 0:
        return 0
    if n == 0 or m == 0:
        return int(u == 0)
    return orders(n - 1, m, u - m) + orders(n, m - 1, u)
