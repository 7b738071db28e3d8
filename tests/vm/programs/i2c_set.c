/*
 * Writes byte registers of an i2c chip: i2c_set BUS CHIP REGISTER VALUE [REGISTER VALUE ...]
 * The tests fill the registers of the i2c-stub chip with it, so that a driver finds the chip it expects.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/i2c-dev.h>
#include <linux/i2c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "i2c_set: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	char path[32];
	int fd, i;

	if (argc < 5 || argc % 2 == 0) {
		fprintf(stderr, "usage: i2c_set BUS CHIP REGISTER VALUE [REGISTER VALUE ...]\n");
		return 2;
	}
	snprintf(path, sizeof(path), "/dev/i2c-%ld", strtol(argv[1], NULL, 0));
	fd = open(path, O_RDWR);
	if (fd < 0)
		return fail(path);
	/* FORCE: the driver under test may already own the chip */
	if (ioctl(fd, I2C_SLAVE_FORCE, strtoul(argv[2], NULL, 0)) < 0)
		return fail("cannot choose the chip");
	for (i = 3; i < argc; i += 2) {
		union i2c_smbus_data data = { .byte = strtoul(argv[i + 1], NULL, 0) };
		struct i2c_smbus_ioctl_data call = {
			.read_write = I2C_SMBUS_WRITE,
			.command = strtoul(argv[i], NULL, 0),
			.size = I2C_SMBUS_BYTE_DATA,
			.data = &data,
		};

		if (ioctl(fd, I2C_SMBUS, &call) < 0)
			return fail("cannot write the register");
	}
	close(fd);
	return 0;
}
