// context/after.cpp: after_func(ctx, f): see <weft/context.hpp>.
#include <utility>

#include "context/node.hpp"
#include "sched/lap.hpp"
#include "time/function.hpp"

namespace weft::detail {

// Held by its handles, and by the context's list while it is hooked. Whoever sets `taken` has the function: who cancels starts
// it, stop() destroys it.
struct context_after final : cancel_hook {
  void start() noexcept {
    if (!taken.exchange(true, std::memory_order_acq_rel)) start_goroutine(&run_function, function.release());  // [mo:after]
  }
  cancel_node* parent_ended(const std::error_code&, const std::exception_ptr&) noexcept override {
    start();
    return nullptr;
  }

  function_ref function;
  atomic<bool> taken{false};
  bool own_node = false;  // what it is hooked to was made for it
};

after_started context_after_start(const context& ctx, function_ref f) {
  context_node* n = checked(ctx);
  auto a = std::make_shared<context_after>();
  a->function = std::move(f);
  cancel_node* of = n->canceller;
  a->own_node = !of;
  if (of) context_add_ref(of);
  else if (n->custom && n->custom->user->done()) of = new cancel_node(n);
  else return {std::move(a), {}};
  const context_ref own(of);
  if (a->own_node) of->attach();  // with a goroutine that watches
  a->self = a;
  if (!of->add(a.get())) {
    a->self = nullptr;
    a->start();
  }
  return {std::move(a), own};
}

bool context_after_stop(const after_started& s) noexcept {
  if (!s.after || s.after->taken.exchange(true, std::memory_order_acq_rel)) return false;  // [mo:after]
  if (auto* of = static_cast<cancel_node*>(s.of.get())) {
    of->remove(s.after.get());
    s.after->self = nullptr;
    if (s.after->own_node) of->end(errc::canceled, nullptr);
  }
  s.after->function = {};
  return true;
}

}  // namespace weft::detail
