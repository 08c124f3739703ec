"""FastAPI with hand-written SQL over asyncpg: the fast way to do it in Python."""
import json
import os
import uuid
from datetime import datetime, timezone

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Response

from common import SET_SCOPE, NewLead, ReceivedLead, Token, bearer, email_norm_of, hash_of, lead_id_of

app = FastAPI()


@app.on_event("startup")
async def connect() -> None:
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=16, max_size=16)


@app.get("/health")
async def health() -> dict:
    return {"ok": True}


async def enter(connection: asyncpg.Connection, token: Token) -> None:
    await connection.execute(SET_SCOPE.format("$1"), str(token.org_id))
    known = await connection.fetchval(
        "select 1 from bench_tokens where org_id = $1 and id = $2 and hash = $3 and revoked_at is null",
        token.org_id, token.id, token.hash,
    )
    if known is None:
        raise HTTPException(401, "Send a valid token")


@app.post("/inbound/leads", status_code=201, response_model=ReceivedLead)
async def post_lead(
    lead: NewLead,
    response: Response,
    token: Token = Depends(bearer),
    idempotency_key: str = Header(""),
) -> ReceivedLead:
    email_norm = email_norm_of(lead)
    now = datetime.now(timezone.utc)
    lead_id = lead_id_of(token, idempotency_key or lead.request_id or lead.json())
    async with app.state.pool.acquire() as connection, connection.transaction():
        await enter(connection, token)
        contact_id = await connection.fetchval(
            """insert into bench_contacts as c (org_id, id, email, email_norm, name, company, phone, created_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8)
               on conflict (org_id, email_norm) do update set name = coalesce(c.name, excluded.name) returning id""",
            token.org_id, uuid.uuid4(), lead.email, email_norm, lead.name, lead.company, lead.phone, now,
        )
        made = await connection.fetchval(
            """insert into bench_leads (org_id, id, contact_id, source, status, service, message, page_url, custom, received_at)
               values ($1, $2, $3, $4, 'received', $5, $6, $7, $8, $9) on conflict do nothing returning id""",
            token.org_id, lead_id, contact_id, lead.source or "api", lead.service, lead.message, lead.page_url,
            json.dumps(lead.custom), now,
        )
        if made is not None:
            await connection.execute(
                "insert into bench_events (org_id, id, type, payload, created_at) values ($1, $2, 'lead.created', $3, $4)",
                token.org_id, uuid.uuid4(), json.dumps({"lead_id": str(lead_id), "contact_id": str(contact_id)}), now,
            )
    if made is None:
        response.status_code = 200
    return ReceivedLead(leadId=lead_id, timestamp=now.isoformat(), status="received")


@app.post("/same-rows", status_code=201, response_model=ReceivedLead)
async def post_lead_with_same_rows(
    lead: NewLead,
    response: Response,
    token: Token = Depends(bearer),
    idempotency_key: str = Header(""),
) -> ReceivedLead:
    """The rows that the product writes, into its own tables."""
    email_norm = email_norm_of(lead)
    now = datetime.now(timezone.utc)
    org_id = token.org_id
    lead_id = lead_id_of(token, idempotency_key or lead.request_id or lead.json())
    conversation_id, message_id, draft_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    text = lead.message or ""
    async with app.state.pool.acquire() as connection, connection.transaction():
        await enter(connection, token)
        reply_mode = await connection.fetchval("select reply_mode from organizations where id = $1", org_id)
        known = await connection.fetchval("select 1 from leads where org_id = $1 and id = $2", org_id, lead_id)
        if known is not None:
            response.status_code = 200
            return ReceivedLead(leadId=lead_id, timestamp=now.isoformat(), status="received")
        contact_id = await connection.fetchval(
            """insert into contacts as c (org_id, id, email, email_norm, name, company, phone, last_inbound_at)
               values ($1, $2, $3, $4, $5, $6, $7, $8)
               on conflict (org_id, email_norm) do update set name = coalesce(c.name, excluded.name) returning id""",
            org_id, uuid.uuid4(), lead.email, email_norm, lead.name, lead.company, lead.phone, now,
        )
        await connection.execute(
            """insert into conversations (org_id, id, contact_id, channel, subject, last_message_at, last_inbound_at)
               values ($1, $2, $3, 'form', $4, $5, $5)""",
            org_id, conversation_id, contact_id, lead.service or "", now,
        )
        await connection.execute(
            """insert into messages (org_id, id, conversation_id, direction, channel, from_email, from_name, subject, text,
                 stripped_text, body_hash, received_at)
               values ($1, $2, $3, 'inbound', 'form', $4, $5, $6, $7, $7, $8, $9)""",
            org_id, message_id, conversation_id, email_norm, lead.name, lead.service or "", text, hash_of(text), now,
        )
        await connection.execute(
            """insert into leads (org_id, id, contact_id, conversation_id, source, received_at, custom, request_hash, page_url)
               values ($1, $2, $3, $4, $5, $6, $7, $8, $9)""",
            org_id, lead_id, contact_id, conversation_id, lead.source or "api", now, json.dumps(lead.custom),
            hash_of(lead.json()), lead.page_url,
        )
        events = [("message.ingested", {"message_id": str(message_id)}), ("lead.created", {"lead_id": str(lead_id)})]
        if reply_mode != "off":
            await connection.execute(
                "insert into drafts (org_id, id, conversation_id, lead_id, message_id) values ($1, $2, $3, $4, $5)",
                org_id, draft_id, conversation_id, lead_id, message_id,
            )
            events.append(("draft.requested", {"draft_id": str(draft_id)}))
        await connection.executemany(
            "insert into events (org_id, id, type, payload, as_of) values ($1, $2, $3, $4, $5)",
            [(org_id, uuid.uuid4(), name, json.dumps(payload), now) for name, payload in events],
        )
        await connection.execute(
            """insert into audit_logs (org_id, id, at, actor_type, actor_id, action, entity, entity_id)
               values ($1, $2, $3, 'system', $4, 'lead.created', 'lead', $5)""",
            org_id, uuid.uuid4(), now, f"site-token:{token.id}", str(lead_id),
        )
    return ReceivedLead(leadId=lead_id, timestamp=now.isoformat(), status="received")
