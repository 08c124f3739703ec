"""FastAPI with SQLAlchemy's asynchronous ORM, in the shape in which such services are written."""
import os
import uuid
from datetime import datetime, timezone

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import sessionmaker

import orm_tables as tables
from common import SET_SCOPE, NewLead, ReceivedLead, Token, bearer, email_norm_of, hash_of, lead_id_of

app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=16, max_overflow=0
)
sessions = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


@app.get("/health")
async def health() -> dict:
    return {"ok": True}


async def enter(session: AsyncSession, token: Token) -> None:
    await session.execute(text(SET_SCOPE.format(":org_id")), {"org_id": str(token.org_id)})
    known = await session.get(tables.SiteToken, (token.org_id, token.id))
    if known is None or known.hash != token.hash or known.revoked_at is not None:
        raise HTTPException(401, "Send a valid token")


async def contact_of(session: AsyncSession, table, token: Token, lead: NewLead, email_norm: str, **more):
    found = await session.execute(select(table).where(table.org_id == token.org_id, table.email_norm == email_norm))
    contact = found.scalar_one_or_none()
    if contact is None:
        contact = table(
            org_id=token.org_id, id=uuid.uuid4(), email=lead.email, email_norm=email_norm, name=lead.name,
            company=lead.company, phone=lead.phone, **more,
        )
        session.add(contact)
        # No relationship tells the order of the rows.
        await session.flush()
    return contact


# Sessions are opened in the handlers and not in a dependency: some versions of FastAPI end those after the answer, and this
# answer says "stored".
@app.post("/inbound/leads", status_code=201, response_model=ReceivedLead)
async def post_lead(
    lead: NewLead,
    response: Response,
    token: Token = Depends(bearer),
    idempotency_key: str = Header(""),
) -> ReceivedLead:
    email_norm = email_norm_of(lead)
    now = datetime.now(timezone.utc)
    org_id = token.org_id
    lead_id = lead_id_of(token, idempotency_key or lead.request_id or lead.json())
    async with sessions() as session, session.begin():
        await enter(session, token)
        if await session.get(tables.Lead, (org_id, lead_id)) is None:
            contact = await contact_of(session, tables.Contact, token, lead, email_norm, created_at=now)
            session.add(
                tables.Lead(
                    org_id=org_id, id=lead_id, contact_id=contact.id, source=lead.source or "api", service=lead.service,
                    message=lead.message, page_url=lead.page_url, custom=lead.custom, received_at=now,
                )
            )
            payload = {"lead_id": str(lead_id), "contact_id": str(contact.id)}
            session.add(tables.Event(org_id=org_id, type="lead.created", payload=payload, created_at=now))
        else:
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
    async with sessions() as session, session.begin():
        await enter(session, token)
        organization = await session.get(tables.Organization, org_id)
        if await session.get(tables.OwnLead, (org_id, lead_id)) is None:
            contact = await contact_of(session, tables.OwnContact, token, lead, email_norm, last_inbound_at=now)
            await add_inquiry(session, organization, contact, lead_id, token, lead, now)
        else:
            response.status_code = 200
    return ReceivedLead(leadId=lead_id, timestamp=now.isoformat(), status="received")


async def add_inquiry(session: AsyncSession, organization, contact, lead_id, token: Token, lead: NewLead, now) -> None:
    org_id, subject, message = token.org_id, lead.service or "", lead.message or ""
    conversation_id, message_id, draft_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    session.add(
        tables.OwnConversation(
            org_id=org_id, id=conversation_id, contact_id=contact.id, channel="form", subject=subject,
            last_message_at=now, last_inbound_at=now,
        )
    )
    await session.flush()
    session.add(
        tables.OwnMessage(
            org_id=org_id, id=message_id, conversation_id=conversation_id, direction="inbound", channel="form",
            from_email=contact.email_norm, from_name=lead.name, subject=subject, text=message, stripped_text=message,
            body_hash=hash_of(message), received_at=now,
        )
    )
    session.add(
        tables.OwnLead(
            org_id=org_id, id=lead_id, contact_id=contact.id, conversation_id=conversation_id,
            source=lead.source or "api", received_at=now, custom=lead.custom, request_hash=hash_of(lead.json()),
            page_url=lead.page_url,
        )
    )
    await session.flush()
    events = [("message.ingested", {"message_id": str(message_id)}), ("lead.created", {"lead_id": str(lead_id)})]
    if organization.reply_mode != "off":
        session.add(
            tables.OwnDraft(
                org_id=org_id, id=draft_id, conversation_id=conversation_id, lead_id=lead_id, message_id=message_id
            )
        )
        events.append(("draft.requested", {"draft_id": str(draft_id)}))
    for name, payload in events:
        session.add(tables.OwnEvent(org_id=org_id, id=uuid.uuid4(), type=name, payload=payload, as_of=now))
    session.add(
        tables.OwnAuditLog(
            org_id=org_id, id=uuid.uuid4(), at=now, actor_type="system", actor_id=f"site-token:{token.id}",
            action="lead.created", entity="lead", entity_id=str(lead_id),
        )
    )
