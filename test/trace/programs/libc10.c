// Reports to PyTorch's libc10 what its caching allocator would.
#include <stddef.h>
#include <stdint.h>

struct Device {
  int8_t type, index;
};
void _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(void *, int64_t, size_t, size_t, struct Device);
void _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(int64_t, size_t, size_t, struct Device);

int main(void) {
  const struct Device gpu = {1, 3}, cpu = {0, -1};
  void *block = (void *)0x7abc000;
  _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, 4096, 4096, 2097152, gpu);
  _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, 64, 64, 0, cpu);
  _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, -4096, 0, 2097152, gpu);
  _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(8589934592, 70254592, 88080384, gpu);
  return 0;
}
