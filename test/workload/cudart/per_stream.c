#include "copies.h"

static bool impossible(dim3 grid, dim3 block) {
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  return !grid.x || !grid.y || !grid.z || threads == 0 || threads > 1024;
}

#define SZ(name) name
#define DS(name) name
#include "per_stream.inc"
#undef SZ
#undef DS

#define SZ(name) name##_ptsz
#define DS(name) name##_ptds
#include "per_stream.inc"
