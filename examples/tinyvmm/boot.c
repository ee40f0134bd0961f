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
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARAMS_AT  0x7000
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
	vm_enter(vm, hdr->pref_address + 0x200, PARAMS_AT);
}

static void load_elf(struct vm *vm, const struct boot *boot)
{
	struct file file = file_map(boot->elf);
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)file.data;
	struct boot_info *info = vm_ram(vm, PARAMS_AT, sizeof(*info));
	const Elf64_Phdr *ph;
	unsigned int i;

	if (file.bytes < sizeof(*elf) ||
	    memcmp(elf->e_ident, ELFMAG, SELFMAG) ||
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
		.pci_window_bytes = vm->bus == BUS_PCI ? PCI_WINDOW_BYTES : 0,
	};
	vm_enter(vm, elf->e_entry, PARAMS_AT);
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
