// SPDX-License-Identifier: GPL-2.0
/*
 * A 1-wire bus master in software, with two DS18B20 thermometers and one DS2401 serial number on its bus.
 *
 * The master offers the driver core nothing but reset and single bits, so the core does everything itself:
 * the search with its collisions, the alarm search, reading and writing bytes. Each slave follows the bus bit
 * by bit and pulls it low when it sends a 0; what the master reads is the AND of all.
 *
 * As in the real DS18B20, the temperature is 85 degrees and no alarm is set until the first conversion
 * (command 0x44), which takes no time here; TH and TL are 75 and 10 degrees at first.
 *
 * Parameters, all writable under /sys/module/w1_soft/parameters:
 *   temp1, temp2  what the two thermometers will measure, in thousandths of a degree Celsius
 *   present       which slaves are on the bus: 1 and 2 the thermometers, 4 the serial number; a slave that
 *                 is not present misses the next reset
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/w1.h>

#define FAMILY_DS2401	0x01
#define FAMILY_DS18B20	0x28

#define CMD_READ_ROM		0x33
#define CMD_MATCH_ROM		0x55
#define CMD_SKIP_ROM		0xcc
#define CMD_SEARCH_ROM		0xf0
#define CMD_ALARM_SEARCH	0xec
#define CMD_CONVERT		0x44
#define CMD_READ_SCRATCHPAD	0xbe
#define CMD_WRITE_SCRATCHPAD	0x4e
#define CMD_COPY_SCRATCHPAD	0x48
#define CMD_RECALL		0xb8
#define CMD_READ_POWER		0xb4

#define ROM_BITS	64
#define SCRATCHPAD	9
#define USER_BYTES	3	/* TH, TL and configuration: the part of the scratchpad that is kept */
#define USER_OFFSET	2

enum slave_state {
	WAIT_RESET,	/* not addressed: silent until the next reset */
	ROM_COMMAND,
	SEARCH_ID,	/* sends the bit of its id, */
	SEARCH_INVERSE,	/* then the inverse, */
	SEARCH_CHOICE,	/* then leaves unless the master chose its bit */
	MATCH,
	SEND_ROM,
	COMMAND,
	SEND_SCRATCHPAD,
	RECEIVE_USER,
	SEND_ONES,	/* externally powered, and never busy */
};

struct soft_slave {
	u8 family;
	u64 serial;
	int *millidegrees;	/* NULL: not a thermometer */
	u8 rom[ROM_BITS / 8];
	u8 scratchpad[SCRATCHPAD];
	u8 stored[USER_BYTES];
	bool alarm;
	enum slave_state state;
	unsigned int bit;	/* position in what is sent or received */
	u8 shift[ROM_BITS / 8];	/* what was received */
};

static int temp1 = 25062;
module_param(temp1, int, 0644);
MODULE_PARM_DESC(temp1, "temperature of the first thermometer, thousandths of a degree");

static int temp2 = 80500;
module_param(temp2, int, 0644);
MODULE_PARM_DESC(temp2, "temperature of the second thermometer, thousandths of a degree");

static unsigned int present = 7;
module_param(present, uint, 0644);
MODULE_PARM_DESC(present, "bit mask of the slaves that are on the bus");

static struct soft_slave slaves[] = {
	{ .family = FAMILY_DS18B20, .serial = 0xdeadbe01, .millidegrees = &temp1 },
	{ .family = FAMILY_DS18B20, .serial = 0xdeadbe02, .millidegrees = &temp2 },
	{ .family = FAMILY_DS2401, .serial = 0x12345678 },
};

static bool get_bit(const u8 *bytes, unsigned int bit)
{
	return bytes[bit / 8] >> (bit % 8) & 1;
}

/* Stores a received bit; true when @count bits are there. */
static bool receive(struct soft_slave *slave, bool value, unsigned int count)
{
	u8 mask = 1 << (slave->bit % 8);

	if (value)
		slave->shift[slave->bit / 8] |= mask;
	else
		slave->shift[slave->bit / 8] &= ~mask;
	return ++slave->bit == count;
}

static void enter(struct soft_slave *slave, enum slave_state state)
{
	slave->state = state;
	slave->bit = 0;
}

static void set_scratchpad_crc(struct soft_slave *slave)
{
	slave->scratchpad[SCRATCHPAD - 1] = w1_calc_crc8(slave->scratchpad, SCRATCHPAD - 1);
}

static void recall(struct soft_slave *slave)
{
	memcpy(slave->scratchpad + USER_OFFSET, slave->stored, USER_BYTES);
	set_scratchpad_crc(slave);
}

static void convert(struct soft_slave *slave)
{
	int millidegrees = clamp(READ_ONCE(*slave->millidegrees), -55000, 125000);
	/* sixteenths of a degree; the configuration's resolution (9 to 12 bits) leaves the lowest undefined */
	s16 raw = DIV_ROUND_CLOSEST(millidegrees * 16, 1000);
	unsigned int unused = 3 - (slave->scratchpad[4] >> 5 & 3);
	int degrees;

	raw &= ~((1 << unused) - 1);
	degrees = raw >> 4;
	slave->scratchpad[0] = raw & 0xff;
	slave->scratchpad[1] = (u16)raw >> 8;
	slave->alarm = degrees >= (s8)slave->scratchpad[2] || degrees <= (s8)slave->scratchpad[3];
	set_scratchpad_crc(slave);
}

static void power_up(struct soft_slave *slave)
{
	static const u8 fresh[SCRATCHPAD] = { 0x50, 0x05, 0, 0, 0, 0xff, 0x0c, 0x10, 0 };
	static const u8 factory[USER_BYTES] = { 75, 10, 0x7f };
	unsigned int i;

	slave->rom[0] = slave->family;
	for (i = 1; i < 7; i++)
		slave->rom[i] = slave->serial >> (8 * (i - 1));
	slave->rom[7] = w1_calc_crc8(slave->rom, 7);
	memcpy(slave->scratchpad, fresh, SCRATCHPAD);
	memcpy(slave->stored, factory, USER_BYTES);
	recall(slave);
	slave->alarm = false;
	enter(slave, WAIT_RESET);
}

static void rom_command(struct soft_slave *slave)
{
	switch (slave->shift[0]) {
	case CMD_SEARCH_ROM:
		enter(slave, SEARCH_ID);
		break;
	case CMD_ALARM_SEARCH:
		enter(slave, slave->alarm ? SEARCH_ID : WAIT_RESET);
		break;
	case CMD_MATCH_ROM:
		enter(slave, MATCH);
		break;
	case CMD_READ_ROM:
		enter(slave, SEND_ROM);
		break;
	case CMD_SKIP_ROM:
		enter(slave, COMMAND);
		break;
	default:
		enter(slave, WAIT_RESET);
	}
}

static void command(struct soft_slave *slave)
{
	if (!slave->millidegrees) {
		enter(slave, WAIT_RESET);
		return;
	}
	switch (slave->shift[0]) {
	case CMD_CONVERT:
		convert(slave);
		enter(slave, SEND_ONES);
		break;
	case CMD_READ_SCRATCHPAD:
		enter(slave, SEND_SCRATCHPAD);
		break;
	case CMD_WRITE_SCRATCHPAD:
		enter(slave, RECEIVE_USER);
		break;
	case CMD_COPY_SCRATCHPAD:
		memcpy(slave->stored, slave->scratchpad + USER_OFFSET, USER_BYTES);
		enter(slave, SEND_ONES);
		break;
	case CMD_RECALL:
		recall(slave);
		enter(slave, SEND_ONES);
		break;
	case CMD_READ_POWER:
		enter(slave, SEND_ONES);
		break;
	default:
		enter(slave, WAIT_RESET);
	}
}

static void store_user_bytes(struct soft_slave *slave)
{
	memcpy(slave->scratchpad + USER_OFFSET, slave->shift, USER_BYTES);
	/* only the two resolution bits of the configuration exist */
	slave->scratchpad[4] = (slave->scratchpad[4] & 0x60) | 0x1f;
	set_scratchpad_crc(slave);
	enter(slave, WAIT_RESET);
}

/* What the slave puts on the bus in this slot: false pulls it low. */
static bool drives(const struct soft_slave *slave)
{
	switch (slave->state) {
	case SEARCH_ID:
	case SEND_ROM:
		return get_bit(slave->rom, slave->bit);
	case SEARCH_INVERSE:
		return !get_bit(slave->rom, slave->bit);
	case SEND_SCRATCHPAD:
		return slave->bit >= SCRATCHPAD * 8 || get_bit(slave->scratchpad, slave->bit);
	default:
		return true;
	}
}

/* The slot is over; @value is what was on the bus. */
static void advance(struct soft_slave *slave, bool value)
{
	switch (slave->state) {
	case ROM_COMMAND:
		if (receive(slave, value, 8))
			rom_command(slave);
		break;
	case SEARCH_ID:
		slave->state = SEARCH_INVERSE;
		break;
	case SEARCH_INVERSE:
		slave->state = SEARCH_CHOICE;
		break;
	case SEARCH_CHOICE:
		if (value != get_bit(slave->rom, slave->bit))
			enter(slave, WAIT_RESET);
		else if (++slave->bit == ROM_BITS)
			enter(slave, COMMAND);
		else
			slave->state = SEARCH_ID;
		break;
	case MATCH:
		if (receive(slave, value, ROM_BITS))
			enter(slave, memcmp(slave->shift, slave->rom, sizeof(slave->rom)) ? WAIT_RESET : COMMAND);
		break;
	case SEND_ROM:
		if (++slave->bit == ROM_BITS)
			enter(slave, COMMAND);
		break;
	case COMMAND:
		if (receive(slave, value, 8))
			command(slave);
		break;
	case SEND_SCRATCHPAD:
		if (slave->bit < SCRATCHPAD * 8)
			slave->bit++;
		break;
	case RECEIVE_USER:
		if (receive(slave, value, USER_BYTES * 8))
			store_user_bytes(slave);
		break;
	case WAIT_RESET:
	case SEND_ONES:
		break;
	}
}

/* 0: somebody is there. */
static u8 soft_reset_bus(void *data)
{
	unsigned int mask = READ_ONCE(present);
	bool anybody = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slaves); i++) {
		if (mask & BIT(i)) {
			anybody = true;
			enter(&slaves[i], ROM_COMMAND);
		} else {
			/* what is taken off the bus has lost its power */
			power_up(&slaves[i]);
		}
	}
	return anybody ? 0 : 1;
}

/* One time slot: 0 writes a 0, 1 writes a 1 or reads. The core holds the bus mutex. */
static u8 soft_touch_bit(void *data, u8 bit)
{
	bool value = bit;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slaves); i++)
		value &= drives(&slaves[i]);
	for (i = 0; i < ARRAY_SIZE(slaves); i++)
		advance(&slaves[i], value);
	return value;
}

static struct w1_bus_master soft_master = {
	.touch_bit = soft_touch_bit,
	.reset_bus = soft_reset_bus,
};

static int __init w1_soft_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(slaves); i++)
		power_up(&slaves[i]);
	return w1_add_master_device(&soft_master);
}

static void __exit w1_soft_exit(void)
{
	w1_remove_master_device(&soft_master);
}

module_init(w1_soft_init);
module_exit(w1_soft_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("1-wire bus master in software, with slaves");
