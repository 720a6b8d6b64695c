// Compiled for its diagnostics only. Against our own headers it checks the layouts that probes read
// through pointers; with -DWORKLOAD_REAL_HEADERS it also redeclares every prototype beside the vendor's,
// which a compiler refuses where the two differ.
#include "cuda_api.h"
#include "cudart_api.h"

#define AT(type, member, offset) _Static_assert(offsetof(type, member) == (offset), #type "." #member)
#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)

SIZE(dim3, 12);
SIZE(struct cudaExtent, 24);
SIZE(struct cudaPitchedPtr, 32);
SIZE(struct cudaMemLocation, 8);
SIZE(CUmemLocation, 8);
SIZE(cudaIpcMemHandle_t, 64);
SIZE(CUipcMemHandle, 64);
SIZE(struct cudaMemPoolProps, 88);
SIZE(CUmemPoolProps, 88);
SIZE(struct cudaMemcpyAttributes, 24);
SIZE(CUmemcpyAttributes, 24);
SIZE(cudaGraphEdgeData, 8);
SIZE(struct cudaChannelFormatDesc, 20);
SIZE(CUdeviceptr, 8);
AT(cudaLaunchConfig_t, gridDim, 0);
AT(cudaLaunchConfig_t, blockDim, 12);
AT(cudaLaunchConfig_t, dynamicSmemBytes, 24);
AT(cudaLaunchConfig_t, stream, 32);
AT(cudaLaunchConfig_t, attrs, 40);
AT(cudaLaunchConfig_t, numAttrs, 48);
AT(CUlaunchConfig, sharedMemBytes, 24);
AT(CUlaunchConfig, hStream, 32);
AT(CUlaunchConfig, numAttrs, 48);
AT(struct cudaMemcpy3DParms, srcPtr, 32);
AT(struct cudaMemcpy3DParms, dstPtr, 96);
AT(struct cudaMemcpy3DParms, extent, 128);
AT(struct cudaMemcpy3DParms, kind, 152);
AT(struct cudaMemcpy3DPeerParms, srcDevice, 64);
AT(struct cudaMemcpy3DPeerParms, dstDevice, 136);
AT(struct cudaMemcpy3DPeerParms, extent, 144);
AT(CUDA_MEMCPY2D, srcMemoryType, 16);
AT(CUDA_MEMCPY2D, dstMemoryType, 72);
AT(CUDA_MEMCPY2D, WidthInBytes, 112);
AT(CUDA_MEMCPY2D, Height, 120);
AT(CUDA_MEMCPY3D, srcMemoryType, 32);
AT(CUDA_MEMCPY3D, dstMemoryType, 120);
AT(CUDA_MEMCPY3D, WidthInBytes, 176);
AT(CUDA_MEMCPY3D, Depth, 192);
AT(CUDA_MEMCPY3D_PEER, srcContext, 64);
AT(CUDA_MEMCPY3D_PEER, dstContext, 152);
AT(CUDA_MEMCPY3D_PEER, Depth, 192);
SIZE(CUmemAllocationProp, 32);
AT(CUmemAllocationProp, location, 8);
SIZE(CUmemAccessDesc, 12);
AT(CUDA_ARRAY3D_DESCRIPTOR, Format, 24);
AT(CUDA_ARRAY3D_DESCRIPTOR, Flags, 32);
AT(cudaGraphInstantiateParams, uploadStream, 8);
AT(cudaGraphInstantiateParams, result_out, 24);
AT(CUDA_GRAPH_INSTANTIATE_PARAMS, result_out, 24);
SIZE(cudaGraphExecUpdateResultInfo, 24);
SIZE(CUgraphExecUpdateResultInfo, 24);
_Static_assert(cudaMemcpyDefault == 4 && cudaMemcpyDeviceToHost == 2, "copy kinds");
_Static_assert(cudaErrorInvalidResourceHandle == 400 && cudaErrorIllegalState == 401, "error codes");
_Static_assert(cudaErrorHostMemoryNotRegistered == 713 && cudaErrorStreamCaptureUnsupported == 900, "error codes");
_Static_assert(cudaErrorInvalidDeviceFunction == 98 && cudaErrorInvalidDevice == 101, "error codes");
_Static_assert(CU_MEMORYTYPE_HOST == 1 && CU_MEMORYTYPE_DEVICE == 2 && CU_MEMORYTYPE_ARRAY == 3, "memory types");
