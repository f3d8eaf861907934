#include "admin/session.h"

#include "base/try.h"
#include "store/reader.h"

static const char refusal[] =
    "send a valid admin token: Authorization: Bearer tga_...; `tollgate token create` makes one";

static enum tg_status refuse(struct api_call *call)
{
    daemon_answer_header(call->answer, "WWW-Authenticate", "Bearer");
    return api_fail(call, TG_UNAUTHENTICATED, "", refusal);
}

enum tg_status session_identify(struct api_call *call)
{
    const struct span header = daemon_header(call->request, "Authorization");
    AUTO(reader) reader = { 0 };
    struct span token;
    enum tg_status status;

    if (header.len == 0 && call->request->is_local_owner) {
        call->who = (struct token_identity){ .role = TOKEN_OWNER,
                                             .scope = ACCOUNT_ALL,
                                             .public_id = SESSION_SOCKET_ID };
        return TG_OK;
    }
    if (!span_starts_with_nocase(header, SPAN("Bearer ")))
        return refuse(call);
    token = span_trim(span_from_offset(header, strlen("Bearer ")));
    TRY(reader_enter(&reader, call->parts->readers, &call->err));
    status = token_authenticate(call->parts->gate, reader.db, token, &call->who, &call->err);
    return status == TG_UNAUTHENTICATED ? refuse(call) : status;
}
