/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * check_vhost_pci_vfio.c - a window behind VFIO, with a kernel that is played
 *
 * open, readlink and ioctl are ours where VFIO is meant.  The function is a
 * memory file: its window, registers and configuration space are in it.
 */
#include "tests/check_main.h"
#include "tests/socket-rig.h"

#include "transports/vhost-pci/channel.h"
#include "transports/vhost-user/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <sys/mman.h>

#define ADDRESS	       "0000:00:04.0"
#define WINDOW_BYTES   (8u << 20)
#define REGISTERS_AT   WINDOW_BYTES
#define CONFIG_AT      (WINDOW_BYTES + 65536)
#define FUNCTION_BYTES (WINDOW_BYTES + 2 * 65536)
#define NR_VECTORS     8
#define RAM_GPA	       0x100000
#define DOORBELL       0x00030000u

static struct {
	uint16_t vendor, device;
	uint32_t register_bar;
	bool has_no_iommu, is_not_viable, has_no_registers_map;
	bool has_no_window_map, has_no_request, is_gone;
	const char *driver;
	unsigned int nr_vectors, nr_available;
	int fd;
	uint8_t *base;
	unsigned int nr_allocated; /* vectors, by the first SET_IRQS */
	int irq[NR_VECTORS];	   /* what they are written to; -1 */
	int request;		   /* and its end; -1 */
} function;

static struct rig rig;
static struct window_header *header;
static struct window_port *port;
static struct window_channel channel;

/* --- the kernel ------------------------------------------------------------- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_readlink(const char *path, char *buf, size_t size);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (strcmp(path, "/dev/vfio/7") == 0 && function.has_no_iommu) {
		errno = ENOENT;
		return -1;
	}
	if (strncmp(path, "/dev/vfio/", 10) == 0)
		return __real_open("/dev/null", O_RDWR | O_CLOEXEC);
	if (flags & O_CREAT) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return __real_open(path, flags, mode);
}

ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	static const char device[] = "/sys/bus/pci/devices/" ADDRESS "/";
	char link[64];

	if (strncmp(path, device, sizeof(device) - 1) != 0)
		return __real_readlink(path, buf, size);
	if (function.is_gone) {
		errno = ENOENT;
		return -1;
	}
	if (strcmp(path + sizeof(device) - 1, "driver") == 0)
		snprintf(link, sizeof(link), "../../bus/pci/drivers/%s",
			 function.driver);
	else
		snprintf(link, sizeof(link), "../../kernel/iommu_groups/7");
	memcpy(buf, link, strlen(link));
	return (ssize_t)strlen(link);
}

static int get_region(struct vfio_region_info *info)
{
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info->size = info->offset = 0;
	if (info->index == VFIO_PCI_BAR2_REGION_INDEX) {
		info->size = WINDOW_BYTES;
		if (!function.has_no_window_map)
			info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	} else if (info->index == function.register_bar) {
		info->size = 4096;
		info->offset = REGISTERS_AT;
		if (!function.has_no_registers_map)
			info->flags |= VFIO_REGION_INFO_FLAG_MMAP;
	} else if (info->index == VFIO_PCI_CONFIG_REGION_INDEX) {
		info->size = 4096;
		info->offset = CONFIG_AT;
	}
	return 0;
}

/* As Linux before 6.5: the first call decides how many there are. */
static int set_irqs(const struct vfio_irq_set *set)
{
	unsigned int i;
	int fd;

	if (set->argsz != sizeof(*set) + set->count * sizeof(int))
		goto invalid;
	if (set->index == VFIO_PCI_REQ_IRQ_INDEX && !function.has_no_request &&
	    set->start == 0 && set->count == 1) {
		memcpy(&function.request, set->data, sizeof(int));
		return 0;
	}
	if (set->index != VFIO_PCI_MSIX_IRQ_INDEX)
		goto invalid;
	if (function.nr_allocated == 0) {
		errno = ENOSPC;
		if (set->start + set->count > function.nr_available)
			return function.nr_available
				       ? (int)function.nr_available
				       : -1;
		function.nr_allocated = set->start + set->count;
	}
	if (set->start + set->count > function.nr_allocated)
		goto invalid;
	for (i = 0; i < set->count; i++) {
		memcpy(&fd, set->data + i * sizeof(fd), sizeof(fd));
		function.irq[set->start + i] = fd;
	}
	return 0;

invalid:
	errno = EINVAL;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags =
			function.is_not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return 0;
	case VFIO_GROUP_SET_CONTAINER:
		return 0;
	case VFIO_SET_IOMMU:
		ck_assert_int_eq((int)(intptr_t)arg,
				 function.has_no_iommu ? VFIO_NOIOMMU_IOMMU
						       : VFIO_TYPE1_IOMMU);
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		ck_assert_str_eq(arg, ADDRESS);
		return fcntl(function.fd, F_DUPFD_CLOEXEC, 0);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region(arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		((struct vfio_irq_info *)arg)->count = function.nr_vectors;
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return set_irqs(arg);
	default:
		return __real_ioctl(fd, request, arg);
	}
}

/* --- the host --------------------------------------------------------------- */

static uint32_t *doorbell(void)
{
	return (uint32_t *)(function.base + REGISTERS_AT + 0x0c);
}

static uint32_t *config_word(unsigned int at)
{
	return (uint32_t *)(function.base + CONFIG_AT + at);
}

static void quiet(void *arg, enum pvio_log_level level, const char *message)
{
	(void)arg;
	(void)level;
	(void)message;
}

static void begin(void)
{
	unsigned int i;

	pvio_log_set(quiet, NULL, PVIO_LOG_DEBUG);
	memset(&rig, 0, sizeof(rig));
	memset(&function, 0, sizeof(function));
	function.vendor = 0x1af4;
	function.device = 0x1110;
	function.driver = "vfio-pci";
	function.nr_vectors = function.nr_available = NR_VECTORS;
	for (i = 0; i < NR_VECTORS; i++)
		function.irq[i] = -1;
	function.request = -1;
	function.fd = memfd_create("function", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(function.fd, FUNCTION_BYTES), 0);
	function.base = mmap(NULL, FUNCTION_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED, function.fd, 0);
	ck_assert_ptr_ne(function.base, MAP_FAILED);
	header = (void *)(function.base + window_control_offset(WINDOW_BYTES));
	port = (void *)(function.base + window_port_offset(WINDOW_BYTES, 0));
	header->version = htole32(WINDOW_VERSION);
	header->nr_ports = htole32(1);
	header->bytes = htole64(WINDOW_BYTES);
	header->epoch = htole32(1);
	header->doorbell = htole32(4711);
	header->magic = htole64(WINDOW_MAGIC);
	ck_assert_int_eq(pvio_worker_create("test", &rig.worker), 0);
	rig_device(&rig, "model = \"rng\";",
		   "type = \"vhost-pci\"; window = \"" ADDRESS "\";");
}

static void end(void)
{
	pvio_device_destroy(rig.dev);
	pvio_worker_destroy(rig.worker);
	munmap(function.base, FUNCTION_BYTES);
	close(function.fd);
}

#define await(condition)                                       \
	do {                                                   \
		uint64_t end_ = pvio_now_ns() + 20000000000ULL; \
		while (!(condition)) {                         \
			ck_assert_msg(pvio_now_ns() < end_,    \
				      "never: " #condition);   \
			pvio_worker_wait(rig.worker, 10);      \
		}                                              \
	} while (0)

static void interrupt(unsigned int vector)
{
	const uint64_t one = 1;

	ck_assert_int_ge(function.irq[vector], 0);
	ck_assert_int_eq(write(function.irq[vector], &one, sizeof(one)),
			 sizeof(one));
}

static void identify(void)
{
	*config_word(PCI_VENDOR_ID) = htole32((uint32_t)function.device << 16 |
					      function.vendor);
}

static void next_session(void)
{
	await(port->is_open);
	port->session = htole32(1);
	interrupt(0);
	await(port->served == htole32(1));
	window_channel_open(&channel, port, WINDOW_HOST);
}

static void begin_session(void)
{
	identify();
	rig_start(&rig);
	next_session();
}

/* Say it, and have the answer; all our questions have one. */
static uint64_t tell(uint32_t request, uint32_t number, const void *payload,
		     uint32_t size)
{
	uint8_t bytes[WINDOW_MAX_PAYLOAD] = { 0 };
	struct vu_header h = { request, VU_VERSION | VU_NEED_REPLY, size };
	struct window_frame frame = {
		.bytes = (uint32_t)sizeof(h) + size,
		.session = 1,
		.kind = WINDOW_MESSAGE,
		.number = number,
	};
	uint64_t value;

	memcpy(bytes, &h, sizeof(h));
	if (size)
		memcpy(bytes + sizeof(h), payload, size);
	ck_assert_int_eq(window_channel_send(&channel, &frame, bytes), 0);
	interrupt(0);
	await(window_channel_receive(&channel, &frame, bytes) == 1);
	memcpy(&h, bytes, sizeof(h));
	ck_assert_uint_eq(h.request, request);
	memcpy(&value, bytes + sizeof(h), sizeof(value));
	return value;
}

static uint64_t tell_u64(uint32_t request, uint32_t number, uint64_t value)
{
	return tell(request, number, &value, sizeof(value));
}

/* A split ring of 8 at the window's start, and its one buffer behind it. */
static void start_ring(uint32_t kick)
{
	const struct vu_memory_table table = {
		.nr = 1,
		.region[0] = { .gpa = RAM_GPA, .size = 65536, .uva = 65536 },
	};
	const struct vu_vring_state num = { 0, 8 }, base = { 0, 0 };
	const struct vu_vring_addr addr = { .desc = 65536,
					    .avail = 65536 + 4096,
					    .used = 65536 + 8192 };

	/* The acknowledgement of what makes there be any. */
	ck_assert_uint_eq(tell_u64(VU_SET_PROTOCOL_FEATURES, 0,
				   PVIO_BIT(VU_PROTOCOL_REPLY_ACK)),
			  0);
	ck_assert_uint_eq(tell_u64(VU_SET_FEATURES, 0,
				   PVIO_BIT(VIRTIO_F_VERSION_1)),
			  0);
	ck_assert_uint_eq(tell(VU_SET_MEM_TABLE, 0, &table,
			       offsetof(struct vu_memory_table, region[1])),
			  0);
	ck_assert_uint_eq(tell(VU_SET_VRING_NUM, 0, &num, sizeof(num)), 0);
	ck_assert_uint_eq(tell(VU_SET_VRING_BASE, 0, &base, sizeof(base)), 0);
	ck_assert_uint_eq(tell(VU_SET_VRING_ADDR, 0, &addr, sizeof(addr)), 0);
	ck_assert_uint_eq(tell_u64(VU_SET_VRING_CALL, DOORBELL, 0), 0);
	ck_assert_uint_eq(tell_u64(VU_SET_VRING_KICK, kick, 0), 0);
}

static void expect_served(unsigned int kick)
{
	struct vring_desc *desc = (void *)function.base;
	struct vring_avail *avail = (void *)(function.base + 4096);
	struct vring_used *used = (void *)(function.base + 8192);
	uint16_t next = le16toh(avail->idx);

	desc[0] = (struct vring_desc){ .addr = htole64(RAM_GPA + 12288),
				       .len = htole32(64),
				       .flags = htole16(VRING_DESC_F_WRITE) };
	avail->ring[next % 8] = 0;
	*doorbell() = 0;
	__atomic_store_n(&avail->idx, htole16((uint16_t)(next + 1)),
			 __ATOMIC_RELEASE);
	interrupt(kick);
	await(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE) ==
	      htole16((uint16_t)(next + 1)));
	await(__atomic_load_n(doorbell(), __ATOMIC_ACQUIRE) ==
	      htole32(DOORBELL));
}

/* --- tests ------------------------------------------------------------------- */

START_TEST(ring_is_kicked_by_interrupt_and_notified_by_doorbell)
{
	unsigned int i;

	function.has_no_registers_map = _i & 1;
	function.has_no_iommu = _i & 2;
	if (_i & 4) {
		function.vendor = 0x1234;
		function.device = 0x7077;
		function.register_bar = 1;
	}
	begin_session();
	/* It may interrupt, and only by what somebody asked for. */
	ck_assert_uint_eq(le32toh(*config_word(PCI_COMMAND)) & 0xffff,
			  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ck_assert_uint_eq(le32toh(*doorbell()), 4711);
	for (i = 1; i < NR_VECTORS; i++)
		ck_assert_int_eq(function.irq[i], -1);
	start_ring(3);
	ck_assert_int_ge(function.irq[3], 0);
	ck_assert_int_eq(function.irq[2], -1);
	for (i = 0; i < 20; i++)
		expect_served(3);
}
END_TEST

START_TEST(vector_that_there_is_not_is_refused)
{
	function.nr_available = 4;
	begin_session();
	ck_assert_uint_eq(function.nr_allocated, 4);
	tell_u64(VU_SET_PROTOCOL_FEATURES, 0, PVIO_BIT(VU_PROTOCOL_REPLY_ACK));
	ck_assert_uint_ne(tell_u64(VU_SET_VRING_KICK, 4, 0), 0);
	ck_assert_uint_ne(tell_u64(VU_SET_VRING_KICK, NR_VECTORS, 0), 0);
	ck_assert_uint_eq(tell_u64(VU_SET_VRING_KICK, 3, 0), 0);
}
END_TEST

START_TEST(function_is_opened_and_closed_again_and_again)
{
	unsigned int fds, i;

	identify();
	fds = rig_count_fds();
	for (i = 0; i < 5; i++) {
		rig_start(&rig);
		await(port->is_open);
		pvio_device_stop(rig.dev);
		ck_assert_uint_eq(port->is_open, 0);
		ck_assert_uint_eq(header->guest_epoch, 0);
		ck_assert_uint_eq(rig_count_fds(), fds);
		function.nr_allocated = 0;
	}
}
END_TEST

/* The kernel waits for its last user, and has asked for that. */
START_TEST(function_that_is_to_go_is_let_go_of)
{
	const uint64_t one = 1;
	unsigned int fds = rig_count_fds(), i;

	begin_session();
	for (i = 0; i < 3; i++) {
		start_ring(3);
		expect_served(3);
		ck_assert_int_ge(function.request, 0);
		function.is_gone = true;
		ck_assert_int_eq(write(function.request, &one, 8), 8);
		await(rig_count_fds() == fds);
		ck_assert_uint_eq(port->is_open, 0);
		ck_assert_uint_eq(header->guest_epoch, 0);
		/* And there is one again. */
		memset(function.base, 0, 12288);
		port->session = 0;
		function.nr_allocated = 0;
		function.is_gone = false;
		next_session();
	}
}
END_TEST

static void expect_start_fails(int rc)
{
	unsigned int fds;

	identify();
	fds = rig_count_fds();
	ck_assert_int_eq(pvio_device_start(rig.dev), rc);
	ck_assert_uint_eq(rig_count_fds(), fds);
}

START_TEST(function_that_is_no_window_is_an_error)
{
	switch (_i) {
	case 0:
		function.device = 0x1111;
		expect_start_fails(-ENODEV);
		break;
	case 1:
		function.driver = "pci-stub";
		expect_start_fails(-ENODEV);
		break;
	case 2:
		function.is_not_viable = true;
		expect_start_fails(-EBUSY);
		break;
	case 3:
		function.nr_vectors = 0;
		expect_start_fails(-ENODEV);
		break;
	case 4:
		function.has_no_window_map = true;
		expect_start_fails(-ENOTSUP);
		break;
	case 5:
		function.nr_available = 0;
		expect_start_fails(-ENOSPC);
		break;
	case 6:
		function.has_no_request = true;
		expect_start_fails(-EINVAL);
		break;
	}
}
END_TEST

/* Its copies would fault. */
START_TEST(window_behind_vfio_is_refused_on_arm64)
{
	expect_start_fails(-ENOTSUP);
}
END_TEST

#ifdef __aarch64__
static const bool is_arm64 = true;
#else
static const bool is_arm64 = false;
#endif

int main(void)
{
	Suite *suite = suite_create("vhost-pci by VFIO");
	TCase *tcase = tcase_create("vfio");

	tcase_set_timeout(tcase, CHECK_TIMEOUT_S);
	tcase_add_checked_fixture(tcase, begin, end);
	suite_add_tcase(suite, tcase);
	if (is_arm64) {
		tcase_add_test(tcase, window_behind_vfio_is_refused_on_arm64);
		return check_suite(suite);
	}
	tcase_add_loop_test(
		tcase, ring_is_kicked_by_interrupt_and_notified_by_doorbell, 0,
		8);
	tcase_add_test(tcase, vector_that_there_is_not_is_refused);
	tcase_add_test(tcase, function_is_opened_and_closed_again_and_again);
	tcase_add_test(tcase, function_that_is_to_go_is_let_go_of);
	tcase_add_loop_test(tcase, function_that_is_no_window_is_an_error, 0,
			    7);
	return check_suite(suite);
}
