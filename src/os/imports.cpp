// os/imports.cpp: see imports.hpp.
#include "os/imports.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace weft::os {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t of_a_function[] = {R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT};
#else
constexpr std::uint32_t of_a_function[] = {R_AARCH64_JUMP_SLOT, R_AARCH64_GLOB_DAT};
#endif

struct request {
  const import* imports;
  std::size_t n;
  int replaced = 0;
};

struct object {
  std::uintptr_t base = 0;
  const ElfW(Sym)* symbols = nullptr;
  const char* names = nullptr;
  std::uintptr_t read_only = 0, read_only_end = 0;  // made so after the linker had filled in the tables
};

void put(const object& o, void** slot, void* value) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto at = reinterpret_cast<std::uintptr_t>(slot);
  auto* start = reinterpret_cast<void*>(at & ~(page - 1));
  const bool guarded = at >= o.read_only && at < o.read_only_end;
  if (guarded && ::mprotect(start, page, PROT_READ | PROT_WRITE) != 0) return;
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
  if (guarded) ::mprotect(start, page, PROT_READ);
}

void replace_in_table(request& r, const object& o, const ElfW(Rela)* table, std::size_t bytes) noexcept {
  for (const ElfW(Rela)* e = table; e < table + bytes / sizeof *table; e++) {
    const auto type = static_cast<std::uint32_t>(ELF64_R_TYPE(e->r_info));
    if (type != of_a_function[0] && type != of_a_function[1]) continue;
    const char* name = o.names + o.symbols[ELF64_R_SYM(e->r_info)].st_name;
    for (const import* i = r.imports; i < r.imports + r.n; i++) {
      if (!*i->theirs || std::strcmp(name, i->name) != 0) continue;
      put(o, reinterpret_cast<void**>(o.base + e->r_offset), i->ours);
      r.replaced++;
    }
  }
}

int replace_in_object(dl_phdr_info* info, std::size_t, void* arg) noexcept {
  auto& r = *static_cast<request*>(arg);
  object o;
  o.base = info->dlpi_addr;
  const ElfW(Dyn)* dynamic = nullptr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type == PT_DYNAMIC) dynamic = reinterpret_cast<const ElfW(Dyn)*>(o.base + h.p_vaddr);
    if (h.p_type == PT_GNU_RELRO) o.read_only = o.base + h.p_vaddr, o.read_only_end = o.read_only + h.p_memsz;
  }
  const ElfW(Rela)* calls = nullptr;
  const ElfW(Rela)* others = nullptr;
  std::size_t calls_bytes = 0, others_bytes = 0;
  // The linker has made these addresses absolute, but for those of the kernel's own object.
  const auto pointer = [&o](ElfW(Addr) a) { return a < o.base ? o.base + a : a; };
  for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
    const auto& d = dynamic->d_un;
    switch (dynamic->d_tag) {
      case DT_SYMTAB: o.symbols = reinterpret_cast<const ElfW(Sym)*>(pointer(d.d_ptr)); break;
      case DT_STRTAB: o.names = reinterpret_cast<const char*>(pointer(d.d_ptr)); break;
      case DT_JMPREL: calls = reinterpret_cast<const ElfW(Rela)*>(pointer(d.d_ptr)); break;
      case DT_PLTRELSZ: calls_bytes = d.d_val; break;
      case DT_RELA: others = reinterpret_cast<const ElfW(Rela)*>(pointer(d.d_ptr)); break;
      case DT_RELASZ: others_bytes = d.d_val; break;
      default: break;
    }
  }
  if (!o.symbols || !o.names) return 0;
  if (calls) replace_in_table(r, o, calls, calls_bytes);
  if (others) replace_in_table(r, o, others, others_bytes);
  return 0;
}

}  // namespace

int replace_imports(const import* imports, std::size_t n) noexcept {
  for (const import* i = imports; i < imports + n; i++) *i->theirs = ::dlsym(RTLD_NEXT, i->name);  // not our own entry, which may be what is replaced
  request r{imports, n};
  ::dl_iterate_phdr(&replace_in_object, &r);
  return r.replaced;
}

}  // namespace weft::os
