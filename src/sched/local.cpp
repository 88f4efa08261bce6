// sched/local.cpp: see <weft/local.hpp>. A list and not a table: goroutines have few of them, and a new local<T> costs the others nothing.
#include "sched/local.hpp"

#include <weft/local.hpp>

namespace weft {

namespace {

using detail::local_node;

local_node* pop(local_node*& first) noexcept {
  local_node* n = first;
  if (n) first = n->older;
  return n;
}

// Those of a plain thread.
struct thread_locals {
  local_node* first = nullptr;
  ~thread_locals() {
    while (local_node* n = pop(first)) n->destroy(n);
  }
};

local_node*& list() noexcept {
  if (g* gp = current_g()) return gp->locals;
  thread_local thread_locals mine;
  return mine.first;
}

}  // namespace

void destroy_locals() {
  while (local_node* n = pop(current_g()->locals)) n->destroy(n);
}

namespace detail {

std::uint64_t local_key() noexcept {
  static atomic<std::uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

local_node* local_find(std::uint64_t key) noexcept {
  for (local_node* n = list(); n; n = n->older)
    if (n->key == key) return n;
  return nullptr;
}

void local_add(local_node* n) noexcept {
  local_node*& first = list();
  n->older = first;
  first = n;
}

local_node* local_take(std::uint64_t key) noexcept {
  for (local_node** at = &list(); *at; at = &(*at)->older)
    if ((*at)->key == key) return pop(*at);
  return nullptr;
}

}  // namespace detail

}  // namespace weft
