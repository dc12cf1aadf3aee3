/* The C ABI of the crate chat-rln, see src/ffi.rs. Arrays without a size have the size that their name says. */
#ifndef CHAT_RLN_H
#define CHAT_RLN_H

#include <stddef.h>
#include <stdint.h>

#define CHAT_RLN_FIELD_SIZE 32
#define CHAT_RLN_PROOF_SIZE 288

typedef struct ChatRlnGroup ChatRlnGroup;

typedef enum {
  CHAT_RLN_OK = 0,
  CHAT_RLN_INVALID = 1,
  CHAT_RLN_NOT_A_FIELD_ELEMENT = -1,
  CHAT_RLN_GROUP_SIZE = -2,
  CHAT_RLN_MESSAGE_LIMIT = -3,
  CHAT_RLN_NO_SUCH_MEMBER = -4,
  CHAT_RLN_NOT_THAT_MEMBER = -5,
  CHAT_RLN_MESSAGE_ID = -6,
  CHAT_RLN_SAME_SHARE = -7,
  CHAT_RLN_PROVING = -8,
  CHAT_RLN_PANIC = -9
} ChatRlnStatus;

ChatRlnStatus chat_rln_load_circuit(void);
ChatRlnStatus chat_rln_identity(const uint8_t *seed, size_t seed_size, uint8_t *secret32, uint8_t *commitment32);
ChatRlnStatus chat_rln_commitment(const uint8_t *secret32, uint8_t *commitment32);
ChatRlnStatus chat_rln_group_new(const uint8_t *commitments32, const uint64_t *message_limits, size_t size,
                                 ChatRlnGroup **group);
void chat_rln_group_free(ChatRlnGroup *group);
void chat_rln_group_root(const ChatRlnGroup *group, uint8_t *root32);
ChatRlnStatus chat_rln_external_nullifier(const uint8_t *epoch32, const uint8_t *rln_identifier,
                                          size_t rln_identifier_size, uint8_t *external_nullifier32);
ChatRlnStatus chat_rln_prove(const ChatRlnGroup *group, const uint8_t *secret32, uint64_t leaf, uint64_t message_id,
                             const uint8_t *external_nullifier32, const uint8_t *signal, size_t signal_size,
                             uint8_t *proof288);
ChatRlnStatus chat_rln_verify(const uint8_t *proof288, const uint8_t *root32, const uint8_t *external_nullifier32,
                              const uint8_t *signal, size_t signal_size);
/* Only the commitment leaves the library: a node needs no member's secret to tell who broke the limit. */
ChatRlnStatus chat_rln_recover_commitment(const uint8_t *first_x32, const uint8_t *first_y32, const uint8_t *second_x32,
                                          const uint8_t *second_y32, uint8_t *commitment32);

#endif
