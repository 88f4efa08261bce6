// detail/context_core.hpp: the untyped context under <weft/context.hpp>, as src/context/ implements it.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <weft/detail/config.hpp>

namespace weft {

/// A key of with_value() as custom_context::value() gets it: equal(key, other) compares with another one of that type.
struct context_key_view {
  const std::type_info* type = nullptr;
  const void* key = nullptr;
  bool (*equal)(const void*, const void*) = nullptr;
};

/// What was found; nothing: type is null.
struct context_value_view {
  const std::type_info* type = nullptr;
  const void* value = nullptr;
};

namespace detail {

struct context_node;
WEFT_API void context_add_ref(context_node* n) noexcept;
WEFT_API void context_release(context_node* n) noexcept;

/// A counted reference.
class context_ref {
 public:
  constexpr context_ref() noexcept = default;
  explicit context_ref(context_node* n) noexcept : node_(n) {}
  context_ref(const context_ref& o) noexcept : node_(o.node_) {
    if (node_) context_add_ref(node_);
  }
  context_ref(context_ref&& o) noexcept : node_(std::exchange(o.node_, nullptr)) {}
  context_ref& operator=(context_ref o) noexcept {
    std::swap(node_, o.node_);
    return *this;
  }
  ~context_ref() {
    if (node_) context_release(node_);
  }
  [[nodiscard]] context_node* get() const noexcept { return node_; }
  friend bool operator==(const context_ref&, const context_ref&) noexcept = default;

 private:
  context_node* node_ = nullptr;
};

/// A key with its value.
struct context_entry {
  context_entry() = default;
  context_entry(const context_entry&) = delete;
  virtual ~context_entry() = default;
  [[nodiscard]] virtual context_value_view find(const context_key_view& k) const = 0;
  [[nodiscard]] virtual std::string text() const = 0;  // "KEY, VALUE"
};

WEFT_API std::string type_text(const std::type_info& type);

/// Text for those that are or give one, else the name of the type, as Go shows them.
template <class T>
std::string context_text(const T& v) {
  if constexpr (std::is_pointer_v<T>) {
    if (v == nullptr) return "<nil>";
  }
  if constexpr (std::is_convertible_v<const T&, std::string_view>) return std::string(std::string_view(v));
  else if constexpr (requires { { to_string(v) } -> std::convertible_to<std::string>; } && (std::is_class_v<T> || std::is_enum_v<T>)) return to_string(v);
  else return type_text(typeid(T));
}

template <class K, class V>
struct context_entry_of final : context_entry {
  K key;
  V value;
  template <class A, class B>
  context_entry_of(A&& k, B&& v) : key(std::forward<A>(k)), value(std::forward<B>(v)) {}
  [[nodiscard]] context_value_view find(const context_key_view& k) const override {
    if (!k.type || *k.type != typeid(K) || !k.equal(&key, k.key)) return {};
    return {&typeid(V), &value};
  }
  [[nodiscard]] std::string text() const override { return context_text(key) + ", " + context_text(value); }
};

template <class K>
context_key_view view_of(const K& key) noexcept {
  return {&typeid(K), &key, [](const void* a, const void* b) -> bool { return *static_cast<const K*>(a) == *static_cast<const K*>(b); }};
}

}  // namespace detail
}  // namespace weft
