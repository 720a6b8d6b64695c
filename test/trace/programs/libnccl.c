// Calls of the real NCCL that are safe without a GPU. Prints what each returned, and the head of the unique id.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  char internal[128];
} ncclUniqueId;

int ncclGetUniqueId(ncclUniqueId *);
int ncclGroupStart(void);
int ncclGroupEnd(void);
int ncclAllReduce(const void *, void *, size_t, int, int, void *, void *);
int ncclReduce(const void *, void *, size_t, int, int, int, void *, void *);
int ncclBcast(void *, size_t, int, int, void *, void *);
int ncclSend(const void *, size_t, int, int, void *, void *);
int ncclCommDestroy(void *);

#define CALL(function, ...) printf("%s\t%d\n", #function, function(__VA_ARGS__))

int main(void) {
  static char buffer[64];
  ncclUniqueId id;
  uint64_t head = 0;
  CALL(ncclGetUniqueId, &id);
  memcpy(&head, &id, sizeof head);
  printf("comm_id\t%llu\n", (unsigned long long)head);
  CALL(ncclGroupStart, );
  CALL(ncclGroupEnd, );
  CALL(ncclAllReduce, buffer, buffer, 12, 7, 2, NULL, NULL);
  CALL(ncclReduce, buffer, buffer, 13, 0, 77, 5, NULL, NULL);
  CALL(ncclBcast, buffer, 10, 9, 3, NULL, NULL);
  CALL(ncclSend, buffer, 9, 99, 5, NULL, NULL);
  CALL(ncclCommDestroy, NULL);
  return 0;
}
