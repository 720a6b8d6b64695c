// The parts that several driver functions share.
#ifndef WORKLOAD_CUDA_OPERATIONS_H
#define WORKLOAD_CUDA_OPERATIONS_H

#include "memory.h"
#include "model.h"

// Where an operand of a copy has to be.
enum place { EITHER, HOST, DEVICE };
// Whether a copy from or to page-locked memory is waited for.
enum completion { RETURN, WAIT };
enum rate { PINNED, PAGEABLE, ON_DEVICE };

int64_t copy_ns(size_t bytes, enum rate rate);
CUresult copy(struct object *stream, uint64_t dst, enum place dst_place, uint64_t src, enum place src_place,
              size_t bytes, enum completion completion);
CUresult copy_2d(struct object *stream, const CUDA_MEMCPY2D *c, enum completion completion);
CUresult copy_3d(struct object *stream, const CUDA_MEMCPY3D *c, enum completion completion);
CUresult fill(struct object *stream, uint64_t dst, size_t bytes);
CUresult launch(CUfunction f, dim3 grid, dim3 block, struct object *stream, void **params);
CUresult device_allocate(CUdeviceptr *dptr, enum memory memory, size_t size);
CUresult record(CUevent event, struct object *stream);
CUresult begin_capture(struct object *stream, CUstream handle, struct object *graph, int mode);
CUresult instantiate(CUgraphExec *exec, CUgraph graph);

#endif
