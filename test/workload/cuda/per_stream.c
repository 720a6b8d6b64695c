#include "entry.h"
#include "operations.h"

#define SZ(name) name
#define DS(name) name
#define PER_THREAD false
#include "per_stream.inc"
#undef SZ
#undef DS
#undef PER_THREAD

#define SZ(name) name##_ptsz
#define DS(name) name##_ptds
#define PER_THREAD true
#include "per_stream.inc"
