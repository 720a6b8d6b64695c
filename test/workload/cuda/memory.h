// What is allocated: device memory (addresses that nothing can be read from, as on a real device),
// managed memory, and page-locked host memory.
#ifndef WORKLOAD_CUDA_MEMORY_H
#define WORKLOAD_CUDA_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum memory {
  UNKNOWN_MEMORY = 0,
  DEVICE_MEMORY = 1,
  MANAGED_MEMORY = 2,
  HOST_MEMORY = 4,
  REGISTERED_MEMORY = 8,
  IPC_MEMORY = 16,      // another process's device memory
  RESERVED_MEMORY = 32, // addresses for cuMemMap; taken to be mapped
};

// Address, or 0 where there is no room.
uint64_t memory_allocate(enum memory memory, size_t size, int device);
bool memory_register(uint64_t address, size_t size);
// False where no range of these kinds (a set) begins at the address.
bool memory_release(uint64_t address, unsigned int kinds);
// Kind of memory all of [address, address + size) lies in.
enum memory memory_at(uint64_t address, size_t size);
void memory_info(int device, uint64_t *free_bytes, uint64_t *total_bytes);
// Drops everything of a device.
void memory_reset(int device);

#endif
