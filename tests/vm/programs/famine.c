/*
 * Makes process events while the kernel has no memory for them: famine SCARCE PLENTY
 * Takes what memory there is but for a rest just above what the kernel keeps for itself, sets its name SCARCE times,
 * gives the memory back, and sets its name PLENTY times. Each setting is one event. Listeners that do not read keep the
 * memory of what they are sent: they use up the rest, and from then on the kernel's own allocation fails, which may not
 * wait. With SCARCE 0 it takes none. At the end come the pid, and the free memory before, at the lowest, and after, in
 * KiB.
 *
 * The memory is taken as huge pages, which nobody fills with zeros: an emulated processor needs ten seconds for that.
 * As a real-time process it has the processor all but to itself, so that nobody reclaims memory, or dies of its lack.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#define HUGE_PAGES "/proc/sys/vm/nr_hugepages"
#define HUGE_PAGE (2UL << 20)

static void fail(const char *what)
{
	fprintf(stderr, "famine: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned long free_bytes(void)
{
	struct sysinfo info;

	if (sysinfo(&info))
		fail("sysinfo");
	return info.freeram * info.mem_unit;
}

/* Reclaim that has begun goes on until so much is free, in all zones together. */
static unsigned long high_watermarks(void)
{
	unsigned long pages, sum = 0;
	char line[256];
	FILE *file = fopen("/proc/zoneinfo", "r");

	if (!file)
		fail("/proc/zoneinfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, " high %lu", &pages) == 1)
			sum += pages;
	fclose(file);
	return sum * sysconf(_SC_PAGESIZE);
}

static void keep(int huge_pages, unsigned long count)
{
	char text[24];
	int length = snprintf(text, sizeof(text), "%lu\n", count);

	if (pwrite(huge_pages, text, length, 0) != length)
		fail(HUGE_PAGES);
}

static void set_name(long times)
{
	while (times-- > 0)
		prctl(PR_SET_NAME, "famine", 0, 0, 0);
}

int main(int argc, char **argv)
{
	const struct sched_param alone = { .sched_priority = 1 };
	unsigned long before, lowest, after, rest;
	long scarce, plenty;
	int huge_pages;

	if (argc != 3) {
		fprintf(stderr, "usage: famine SCARCE PLENTY\n");
		return 2;
	}
	scarce = strtol(argv[1], NULL, 10);
	plenty = strtol(argv[2], NULL, 10);
	huge_pages = open(HUGE_PAGES, O_WRONLY);
	if (huge_pages < 0)
		fail(HUGE_PAGES);
	rest = high_watermarks() + HUGE_PAGE;
	if (mlockall(MCL_CURRENT))
		fail("mlockall");

	before = free_bytes();
	if (scarce > 0 && before > rest)
		keep(huge_pages, (before - rest) / HUGE_PAGE);
	if (sched_setscheduler(0, SCHED_FIFO, &alone))
		fail("sched_setscheduler");
	set_name(scarce);
	lowest = free_bytes();
	keep(huge_pages, 0);
	set_name(plenty);
	after = free_bytes();

	printf("{\"pid\":%d,\"freeKiB\":[%lu,%lu,%lu]}\n", getpid(), before >> 10, lowest >> 10, after >> 10);
	return 0;
}
