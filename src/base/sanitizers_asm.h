/* base/sanitizers_asm.h: WEFT_TSAN for assembly, where the compiler's own macro says so. */
#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif
