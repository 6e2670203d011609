/* codec.h: XSYNC, the protobuf messages of Lanying's long connection, as bytes
 * and as structs. Pure. lanying.md, section 6.
 *
 * A message is a struct whose first member says which fields are there, so
 * that a field that is present and zero is written, as the vendor's own client
 * does, and one that is absent is not. Read, text and bytes point into the
 * input; nothing is copied and nothing allocated. Reading skips unknown fields,
 * refuses what no encoder writes (varints over 10 bytes, lengths beyond the
 * end, groups, a known field of another wire type), and lets the last one of a
 * repeated single field count. */
#ifndef WARBLER_LANYING_CODEC_H
#define WARBLER_LANYING_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/base/buf.h"
#include "plugin/base/err.h"

#define LY_FRAME_BYTES_MAX (4U * 1024 * 1024)

/* Bit of `has` for the field with this number. */
#define LY_HAS(number) (UINT32_C(1) << (number))

struct ly_bytes {
    const char *p;
    size_t len;
};

/* A repeated message. Read: walked with ly_next(). To be written: n structs at items. */
struct ly_list {
    size_t n;
    const void *items;
    struct ly_bytes in; /* private: the message that holds them, */
    unsigned number;    /* under this number */
};

enum ly_command { LY_UNREAD, LY_SYNC, LY_NOTICE, LY_PROVISION };
enum ly_conversation { LY_CONVERSATION_UNKNOWN, LY_CONVERSATION_CHAT, LY_CONVERSATION_GROUP };
enum ly_ns { LY_NS_UNKNOWN, LY_NS_MESSAGE, LY_NS_GROUP, LY_NS_ROSTER, LY_NS_USER };
enum ly_body_type { LY_BODY_NORMAL, LY_BODY_OPER, LY_BODY_CHAT, LY_BODY_GROUPCHAT };
enum ly_ctype { LY_TEXT, LY_IMAGE, LY_AUDIO, LY_VIDEO, LY_FILE, LY_LOCATION, LY_COMMAND, LY_FORWARD, LY_RTC };
enum ly_qos { LY_AT_LEAST_ONCE, LY_AT_MOST_ONCE };
enum ly_oper {
    LY_OPER_NONE,
    LY_OPER_READ_ACK,
    LY_OPER_READ_ALL,
    LY_OPER_READ_CANCEL,
    LY_OPER_DELIVER_ACK,
    LY_OPER_RECALL,
    LY_OPER_DELETE,
    LY_OPER_PLAY_ACK,
    LY_OPER_APPEND,
    LY_OPER_REPLACE,
};
enum ly_code { /* section 16 */
    LY_CODE_UNKNOWN,
    LY_CODE_OK,
    LY_CODE_FAIL,
    LY_CODE_UNKNOWN_COMMAND,
    LY_CODE_PB_PARSER_ERROR,
    LY_CODE_DECRYPT_FAILURE,
    LY_CODE_PUBLIC_KEY_CHANGED,
    LY_CODE_INVALID_TOKEN,
    LY_CODE_INVALID_PARAMETER,
    LY_CODE_UNAUTHORIZED,
    LY_CODE_USER_FROZEN,
    LY_CODE_USER_BANNED,
    LY_CODE_WORD_CENSORED,
    LY_CODE_TOO_MANY_DEVICES,
    LY_CODE_ENCRYPT_METHOD_UNSUPPORTED,
    LY_CODE_DEVICE_GUID_CONFLICT,
    LY_CODE_CHECK_SUM_FAILURE,
    LY_CODE_INVALID_LICENSE,
    LY_CODE_LICENSE_LIMIT,
    LY_CODE_APP_FROZEN,
    LY_CODE_RATE_LIMIT_EXCEEDED,
};

/* The numbers behind the members are those of the fields. */
struct ly_xid {
    uint32_t has;
    uint32_t device; /* 2 */
    uint64_t uid;    /* 1 */
};
struct ly_status {
    uint32_t has;
    uint32_t code;          /* 1, enum ly_code */
    struct ly_bytes reason; /* 2 */
};
struct ly_frame {
    uint32_t has;
    uint32_t vsn, compress, command; /* 1 2 3, enum ly_command */
    struct ly_bytes payload;         /* 4 */
    uint32_t encrypt;                /* 5 */
};
struct ly_provision {
    uint32_t has;
    struct ly_status status;                                      /* 1 */
    struct ly_xid xid;                                            /* 2 */
    struct ly_bytes token, sdk_vsn, device_guid, device_info;     /* 6 8 10 13 */
    uint32_t os_type;                                             /* 7 */
};
struct ly_unread {
    uint32_t has;
    struct ly_xid xid; /* 1 */
    uint32_t n, type;  /* 2 3, enum ly_conversation */
};
struct ly_unread_dl {
    uint32_t has;
    struct ly_status status; /* 1 */
    struct ly_list unread;   /* 2, struct ly_unread */
};
struct ly_notice {
    uint32_t has;
    struct ly_xid xid; /* 1 */
};
struct ly_oper_body {
    uint32_t has;
    uint32_t type;     /* 1, enum ly_oper */
    uint64_t mid;      /* 2 */
    struct ly_xid xid; /* 3 */
};
struct ly_body {
    uint32_t has;
    uint32_t type, ctype, qos, is_system;                     /* 1 5 10 12 */
    struct ly_bytes content, config, attachment, ext, sender; /* 4 7 8 9 11 */
    struct ly_oper_body oper;                                 /* 6 */
    uint64_t edit_timestamp;                                  /* 15 */
};
struct ly_meta {
    uint32_t has;
    uint32_t ns;             /* 5, enum ly_ns */
    uint64_t id, timestamp;  /* 1 4 */
    struct ly_xid from, to;  /* 2 3 */
    struct ly_bytes payload; /* 6: ly_body, or a notice */
};
struct ly_sync_ul {
    uint32_t has;
    struct ly_xid xid;      /* 1 */
    uint64_t key;           /* 2 */
    struct ly_meta meta;    /* 3 */
    uint32_t is_full_sync;  /* 4 */
    int32_t full_sync_num;  /* 5 */
};
struct ly_sync_dl {
    uint32_t has;
    struct ly_status status;           /* 1 */
    struct ly_list metas;              /* 2, struct ly_meta */
    uint64_t next_key;                 /* 3 */
    struct ly_xid xid;                 /* 4 */
    uint64_t client_mid, server_mid;   /* 5 6 */
    uint64_t server_time;              /* 7 */
    uint32_t is_full_sync;             /* 8 */
    uint32_t is_eager_sync;            /* 10 */
    uint64_t edit_timestamp;           /* 11 */
};
struct ly_group_notice {
    uint32_t has;
    uint32_t type;            /* 1 */
    struct ly_xid gid, from;  /* 2 3 */
    struct ly_list to;        /* 4, struct ly_xid */
    struct ly_bytes content;  /* 5 */
};
struct ly_roster_notice {
    uint32_t has;
    uint32_t type;           /* 1 */
    struct ly_xid from;      /* 2 */
    struct ly_list to;       /* 3, struct ly_xid */
    struct ly_bytes content; /* 4 */
};
struct ly_user_notice {
    uint32_t has;
    uint32_t type;           /* 1 */
    struct ly_bytes content; /* 2 */
};

/* What is known of a message type; one object for each struct above. */
struct ly_type;
extern const struct ly_type ly_frame_type, ly_provision_type, ly_unread_dl_type, ly_unread_type, ly_notice_type,
    ly_sync_ul_type, ly_sync_dl_type, ly_meta_type, ly_body_type, ly_oper_type, ly_group_notice_type,
    ly_roster_notice_type, ly_user_notice_type, ly_xid_type, ly_status_type;

/* Fills *out, a struct of that type. ERR_PROTO: malformed, and *e says where;
 * *out is then half filled. */
enum err_code ly_read(const struct ly_type *type, void *out, struct ly_bytes in, struct err *e);
void ly_write(const struct ly_type *type, const void *msg, struct buf *out);

/* The items of a list that was read, one after the other: *at is 0 at first.
 * They were checked when the list was read. */
bool ly_next(const struct ly_type *type, const struct ly_list *list, size_t *at, void *out);

/* A NOTICE's payload is a Notice or a bare XID; the uid is 0 for an empty one. */
enum err_code ly_read_notice(struct ly_xid *out, struct ly_bytes payload, struct err *e);

/* The struct for "uid, and any or that device", both fields present. */
struct ly_xid ly_xid_of(uint64_t uid, uint32_t device);
struct ly_bytes ly_bytes_of(const char *s); /* NULL gives none */

#endif
