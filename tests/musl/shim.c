/*
 * What the libstdc++ and libgcc of glibc want and musl lacks, for a Bun that is linked with musl: Alpine has libraries of
 * its own, Debian has not. It takes the place of libgcc, which it brings along by another name.
 */
typedef unsigned long size_t;

extern size_t strftime_l(char *, size_t, const char *, const void *, void *);
extern long getrandom(void *, size_t, unsigned);
extern unsigned long getauxval(unsigned long);

unsigned arc4random(void) {
  unsigned value;
  getrandom(&value, sizeof value, 0);
  return value;
}

size_t __strftime_l(char *text, size_t size, const char *format, const void *time, void *locale) {
  return strftime_l(text, size, format, time, locale);
}

unsigned long __getauxval(unsigned long type) { return getauxval(type); }

/* Destructors of a thread's objects are not run. */
int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *handle) { return 0; }

char __libc_single_threaded = 0;

/* Not found: libgcc then asks dl_iterate_phdr. */
int _dl_find_object(void *address, void *result) { return -1; }

int __cpu_indicator_init(void) { return 0; }
struct {
  unsigned vendor, type, subtype, features[1];
} __cpu_model;
