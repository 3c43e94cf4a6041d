/*
 * bootseal-devmem ADDRESS 8|64 [0]: reads a byte or eight of physical memory, or makes them zero. It takes the place of
 * busybox's `devmem` in initrds that have none, and prints as that does.
 *
 * It maps /dev/mem: where memory is encrypted, read(2) gives ciphertext, and only a mapping has the bit that decrypts (linux
 * arch/x86/mm/mem_encrypt_amd.c, add_encrypt_protection_map). No shell can map, hence this program.
 *
 * No C library: x86-64 Linux only, static, some 1.4 KB:
 *   cc -Os -static -nostdlib -ffreestanding -fno-stack-protector -fno-asynchronous-unwind-tables -fno-pie -no-pie \
 *      -Wl,--build-id=none -Wl,-z,norelro -Wl,-n -s -o bootseal-devmem devmem.c
 */
enum { SYS_write = 1, SYS_open = 2, SYS_mmap = 9, SYS_exit = 60 };
enum { O_RDWR = 2, PROT_READ_WRITE = 3, MAP_SHARED = 1, PAGE = 4096 };

typedef unsigned long word;

static long call(long number, word a, word b, word c, word d, word e, word f) {
  long result;
  register word r10 __asm__("r10") = d;
  register word r8 __asm__("r8") = e;
  register word r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static void say(const char *text) {
  word size = 0;
  while (text[size]) size++;
  call(SYS_write, 2, (word)text, size, 0, 0, 0);
}

/* Digits of base 10, or of base 16 behind 0x. Returns 1 when there is anything else, or more than 52 bits. */
static int number(const char *text, word *value) {
  word base = 10;
  *value = 0;
  if (text[0] == '0' && text[1] == 'x') base = 16, text += 2;
  if (!*text) return 1;
  for (; *text; text++) {
    word digit = (word)*text - '0';
    if (digit > 9) digit = ((word)*text | 32) - 'a' + 10;
    if (digit >= base) return 1;
    *value = *value * base + digit;
    if (*value >> 52) return 1;
  }
  return 0;
}

static int run(long count, char **words) {
  word address, width, nothing = 1;
  if (count < 3 || count > 4 || number(words[1], &address) || number(words[2], &width) || (width != 8 && width != 64) ||
      address % (width / 8) || (count == 4 && (number(words[3], &nothing) || nothing != 0))) {
    say("usage: bootseal-devmem ADDRESS 8|64 [0]\n");
    return 2;
  }
  long file = call(SYS_open, (word) "/dev/mem", O_RDWR, 0, 0, 0, 0);
  if (file < 0) {
    say("bootseal-devmem: /dev/mem cannot be opened\n");
    return 1;
  }
  long page = call(SYS_mmap, 0, PAGE, PROT_READ_WRITE, MAP_SHARED, file, address & ~(word)(PAGE - 1));
  if (page < 0 && page > -PAGE) {
    say("bootseal-devmem: this memory cannot be mapped\n");
    return 1;
  }
  word at = (word)page + address % PAGE;
  if (count == 4) {
    if (width == 64) *(volatile word *)at = 0;
    else *(volatile unsigned char *)at = 0;
    return 0;
  }
  word value = width == 64 ? *(volatile word *)at : *(volatile unsigned char *)at;
  char line[19] = "0x";
  int digits = (int)width / 4;
  for (int i = digits; i > 0; i--, value >>= 4) line[1 + i] = "0123456789ABCDEF"[value & 15];
  line[2 + digits] = '\n';
  return call(SYS_write, 1, (word)line, 3 + digits, 0, 0, 0) != 3 + digits;
}

/* The kernel puts the number of words and the words on the stack. */
__attribute__((used)) static void begin(long *stack) {
  call(SYS_exit, run(stack[0], (char **)(stack + 1)), 0, 0, 0, 0, 0);
  __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n  mov %rsp, %rdi\n  and $-16, %rsp\n  call begin\n");
