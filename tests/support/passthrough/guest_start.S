/* The start of guest.c: the multiboot header, a flat address space, a stack; and the timer's interrupt, which only ends hlt. */

	.section .multiboot, "a" /* within the first 8 KiB of the file, says guest.ld */
	.align 4
	.long 0x1BADB002, 0, -0x1BADB002 /* magic, flags, checksum */

	.text
	.globl _start
_start:
	cli
	lgdt gdt_pointer /* the loader's own need not last */
	ljmp $8, $flat
flat:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $stack_end, %esp
	call guest_main

	.globl timer_interrupt
timer_interrupt:
	push %eax
	mov $0x20, %al /* end of interrupt */
	out %al, $0x20
	pop %eax
	iret

	.section .rodata
	.align 8
gdt:
	.quad 0
	.quad 0x00cf9a000000ffff /* 8: code, 4 GiB */
	.quad 0x00cf92000000ffff /* 16: data, 4 GiB */
gdt_pointer:
	.word gdt_pointer - gdt - 1
	.long gdt

	.bss
	.align 16
	.skip 16384
stack_end:
