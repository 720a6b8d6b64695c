// Prototypes of the CUDA driver functions of the workload.
#ifndef WORKLOAD_CUDA_API_H
#define WORKLOAD_CUDA_API_H

#include "cuda_types.h"

#ifdef WORKLOAD_REAL_HEADERS
#include <cudaProfiler.h>
#endif

// The stubs are compiled with everything else hidden.
#pragma GCC visibility push(default)

#define API(name, params) CUresult name params;
#define API_SZ(name, params) API(name, params) API(name##_ptsz, params)
#define API_DS(name, params) API(name, params) API(name##_ptds, params)
#include "cuda_api.def"
#undef API
#undef API_SZ
#undef API_DS

#pragma GCC visibility pop

#endif
