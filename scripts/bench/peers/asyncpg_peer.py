"""FastAPI with hand-written SQL over asyncpg: the fast way to do it in Python."""
import json
import os
import uuid
from datetime import datetime, timezone

import asyncpg
from fastapi import Depends, FastAPI, Header, HTTPException, Response

from common import SET_SCOPE, NewLead, ReceivedLead, Token, bearer, email_norm_of, lead_id_of

app = FastAPI()


@app.on_event("startup")
async def connect() -> None:
    app.state.pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=16, max_size=16)


@app.get("/health")
async def health() -> dict:
    return {"ok": True}


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
        await connection.execute(SET_SCOPE.format("$1"), str(token.org_id))
        known = await connection.fetchval(
            "select 1 from bench_tokens where org_id = $1 and id = $2 and hash = $3 and revoked_at is null",
            token.org_id, token.id, token.hash,
        )
        if known is None:
            raise HTTPException(401, "Send a valid token")
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
