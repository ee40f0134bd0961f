// SPDX-License-Identifier: BSD-3-Clause
/*
 * boot.c - a Linux bzImage, or a freestanding ELF, into the guest's memory
 *
 * Both are entered in long mode with the first 4 GiB mapped to themselves:
 * Linux as its 64-bit boot protocol says (Documentation/arch/x86/boot.rst in
 * its sources), with a struct boot_params in rsi; an ELF as in
 * guest/baremetal/boot.h, with a struct boot_info in rdi.
 *
 *	0x500     descriptor table       0x9000   page tables
 *	0x7000    boot_params or _info   0x20000  command line
 *	0xe0000   ACPI                   1 MiB    the ELF's segments
 *	                                 16 MiB   Linux; the initrd at the end
 */
#include "tinyvmm.h"

#include "guest/baremetal/boot.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define GDT_AT	   0x500
#define PARAMS_AT  0x7000
#define TABLES_AT  0x9000
#define CMDLINE_AT 0x20000
#define CMDLINE_BYTES 4096
#define LOW_RAM_END 0x9fc00
#define HIGH_RAM    0x100000

struct file {
	const uint8_t *data;
	uint64_t bytes;
};

static struct file file_map(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct file file;

	if (fd < 0 || fstat(fd, &st) < 0)
		die("%s: %m", path);
	file.bytes = st.st_size;
	file.data = mmap(NULL, file.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
	if (file.data == MAP_FAILED)
		die("%s: %m", path);
	close(fd);
	return file;
}

/* Long mode: one level-4 table, one level-3, four level-2 of 2 MiB pages. */
static void set_registers(struct vm *vm, uint64_t entry, uint64_t arg)
{
	static const uint64_t gdt[] = {
		0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff,
	};
	struct kvm_segment code = {
		.limit = 0xffffffff, .selector = BOOT_CS, .type = 11,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	struct kvm_segment data = {
		.limit = 0xffffffff, .selector = BOOT_DS, .type = 3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	struct kvm_regs regs = {
		.rip = entry, .rsi = arg, .rdi = arg, .rflags = 2,
	};
	uint64_t *tables = vm_ram(vm, TABLES_AT, 6 * 4096);
	struct kvm_sregs sregs;
	unsigned int i;

	memcpy(vm_ram(vm, GDT_AT, sizeof(gdt)), gdt, sizeof(gdt));
	tables[0] = (TABLES_AT + 4096) | 3;
	for (i = 0; i < 4; i++)
		tables[512 + i] = (TABLES_AT + (2 + i) * 4096) | 3;
	for (i = 0; i < 4 * 512; i++)
		tables[1024 + i] = (uint64_t)i << 21 | 0x83;

	if (ioctl(vm->cpus[0].fd, KVM_GET_SREGS, &sregs) < 0)
		die("KVM_GET_SREGS: %m");
	sregs.gdt.base = GDT_AT;
	sregs.gdt.limit = sizeof(gdt) - 1;
	sregs.idt.limit = 0;
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.cr3 = TABLES_AT;
	sregs.cr4 = 1 << 5;			/* PAE */
	sregs.efer = 1 << 8 | 1 << 10;		/* LME, LMA */
	sregs.cr0 = 1u << 31 | 1 << 4 | 1 << 0;	/* PG, ET, PE */
	if (ioctl(vm->cpus[0].fd, KVM_SET_SREGS, &sregs) < 0 ||
	    ioctl(vm->cpus[0].fd, KVM_SET_REGS, &regs) < 0)
		die("KVM_SET_SREGS: %m");
}

static void load_linux(struct vm *vm, const struct boot *boot)
{
	const struct boot_e820_entry map[] = {
		{ 0, LOW_RAM_END, 1 },
		{ LOW_RAM_END, HIGH_RAM - LOW_RAM_END, 2 }, /* reserved */
		{ HIGH_RAM, vm->ram_bytes - HIGH_RAM, 1 },
	};
	struct file kernel = file_map(boot->kernel), initrd;
	struct boot_params *params = vm_ram(vm, PARAMS_AT, sizeof(*params));
	struct setup_header *hdr = &params->hdr;
	uint64_t skip, bytes, at;

	if (kernel.bytes < 0x1000 || memcmp(kernel.data + 0x202, "HdrS", 4))
		die("%s: not a bzImage", boot->kernel);
	/* The header says itself where it ends: with the jump at its start. */
	bytes = 0x202 + kernel.data[0x201] - 0x1f1;
	memcpy(hdr, kernel.data + 0x1f1,
	       bytes < sizeof(*hdr) ? bytes : sizeof(*hdr));
	if (hdr->version < 0x20c || !(hdr->xloadflags & XLF_KERNEL_64))
		die("%s: has no 64-bit entry", boot->kernel);
	skip = (hdr->setup_sects ? hdr->setup_sects + 1 : 5) * 512;
	if (skip > kernel.bytes)
		die("%s: cut short", boot->kernel);
	vm_ram(vm, hdr->pref_address, hdr->init_size);
	memcpy(vm_ram(vm, hdr->pref_address, kernel.bytes - skip),
	       kernel.data + skip, kernel.bytes - skip);

	hdr->type_of_loader = 0xff;
	hdr->cmd_line_ptr = CMDLINE_AT;
	if (boot->initrd) {
		initrd = file_map(boot->initrd);
		at = (vm->ram_bytes - initrd.bytes) & ~0xfffull;
		if (at < hdr->pref_address + hdr->init_size)
			die("%s: no room, use a larger --mem", boot->initrd);
		memcpy(vm_ram(vm, at, initrd.bytes), initrd.data, initrd.bytes);
		hdr->ramdisk_image = at;
		hdr->ramdisk_size = initrd.bytes;
	}
	memcpy(params->e820_table, map, sizeof(map));
	params->e820_entries = 3;
	params->acpi_rsdp_addr = acpi_build(vm);
	set_registers(vm, hdr->pref_address + 0x200, PARAMS_AT);
}

static void load_elf(struct vm *vm, const struct boot *boot)
{
	struct file file = file_map(boot->elf);
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)file.data;
	struct boot_info *info = vm_ram(vm, PARAMS_AT, sizeof(*info));
	const Elf64_Phdr *ph;
	unsigned int i;

	if (file.bytes < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
	    elf->e_machine != EM_X86_64 || elf->e_phoff > file.bytes ||
	    elf->e_phnum > (file.bytes - elf->e_phoff) / sizeof(*ph))
		die("%s: not an ELF for x86-64", boot->elf);
	ph = (const Elf64_Phdr *)(file.data + elf->e_phoff);
	for (i = 0; i < elf->e_phnum; i++) {
		if (ph[i].p_type != PT_LOAD)
			continue;
		if (ph[i].p_paddr < BOOT_LOAD_MIN ||
		    ph[i].p_filesz > ph[i].p_memsz ||
		    ph[i].p_offset > file.bytes ||
		    ph[i].p_filesz > file.bytes - ph[i].p_offset)
			die("%s: a segment below 1 MiB, or cut short",
			    boot->elf);
		memcpy(vm_ram(vm, ph[i].p_paddr, ph[i].p_memsz),
		       file.data + ph[i].p_offset, ph[i].p_filesz);
	}
	*info = (struct boot_info){
		.magic = BOOT_MAGIC, .bytes = sizeof(*info),
		.memory_bytes = vm->ram_bytes, .cmdline = CMDLINE_AT,
		.pci_window = PCI_WINDOW,
		.pci_window_bytes = cards_are_mmio() ? 0 : PCI_WINDOW_BYTES,
	};
	set_registers(vm, elf->e_entry, PARAMS_AT);
}

void boot_load(struct vm *vm, const struct boot *boot)
{
	size_t bytes = strlen(boot->cmdline) + 1;

	if (bytes > CMDLINE_BYTES)
		die("the command line is too long");
	memcpy(vm_ram(vm, CMDLINE_AT, bytes), boot->cmdline, bytes);
	if (boot->elf)
		load_elf(vm, boot);
	else
		load_linux(vm, boot);
}
