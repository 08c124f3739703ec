"""FastAPI with SQLAlchemy's asynchronous ORM, in the shape in which such services are written."""
import os
import uuid
from datetime import datetime, timezone

from fastapi import Depends, FastAPI, Header, HTTPException, Response
from sqlalchemy import Column, DateTime, String, select, text
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import declarative_base, sessionmaker

from common import SET_SCOPE, NewLead, ReceivedLead, Token, bearer, email_norm_of, lead_id_of

Base = declarative_base()


class SiteToken(Base):
    __tablename__ = "bench_tokens"
    org_id = Column(UUID(as_uuid=True), primary_key=True)
    id = Column(UUID(as_uuid=True), primary_key=True)
    hash = Column(String, nullable=False)
    revoked_at = Column(DateTime(timezone=True))


class Contact(Base):
    __tablename__ = "bench_contacts"
    org_id = Column(UUID(as_uuid=True), primary_key=True)
    id = Column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    email = Column(String, nullable=False)
    email_norm = Column(String, nullable=False)
    name = Column(String)
    company = Column(String)
    phone = Column(String)
    created_at = Column(DateTime(timezone=True), nullable=False)


class Lead(Base):
    __tablename__ = "bench_leads"
    org_id = Column(UUID(as_uuid=True), primary_key=True)
    id = Column(UUID(as_uuid=True), primary_key=True)
    contact_id = Column(UUID(as_uuid=True), nullable=False)
    source = Column(String, nullable=False)
    status = Column(String, nullable=False, default="received")
    service = Column(String)
    message = Column(String)
    page_url = Column(String)
    custom = Column(JSONB, nullable=False)
    received_at = Column(DateTime(timezone=True), nullable=False)


class Event(Base):
    __tablename__ = "bench_events"
    org_id = Column(UUID(as_uuid=True), primary_key=True)
    id = Column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)
    type = Column(String, nullable=False)
    payload = Column(JSONB, nullable=False)
    created_at = Column(DateTime(timezone=True), nullable=False)


app = FastAPI()
engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://", 1), pool_size=16, max_overflow=0
)
sessions = sessionmaker(engine, class_=AsyncSession, expire_on_commit=False)


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
    # In here and not in a dependency: some versions of FastAPI end those after the answer, and this answer says "stored".
    async with sessions() as session, session.begin():
        await session.execute(text(SET_SCOPE.format(":org_id")), {"org_id": str(token.org_id)})
        known = await session.get(SiteToken, (token.org_id, token.id))
        if known is None or known.hash != token.hash or known.revoked_at is not None:
            raise HTTPException(401, "Send a valid token")
        if await session.get(Lead, (token.org_id, lead_id)) is None:
            contact = await contact_of(session, token, lead, email_norm, now)
            session.add(
                Lead(
                    org_id=token.org_id, id=lead_id, contact_id=contact.id, source=lead.source or "api",
                    service=lead.service, message=lead.message, page_url=lead.page_url, custom=lead.custom,
                    received_at=now,
                )
            )
            session.add(
                Event(
                    org_id=token.org_id, type="lead.created", created_at=now,
                    payload={"lead_id": str(lead_id), "contact_id": str(contact.id)},
                )
            )
        else:
            response.status_code = 200
    return ReceivedLead(leadId=lead_id, timestamp=now.isoformat(), status="received")


async def contact_of(session: AsyncSession, token: Token, lead: NewLead, email_norm: str, now: datetime) -> Contact:
    found = await session.execute(
        select(Contact).where(Contact.org_id == token.org_id, Contact.email_norm == email_norm)
    )
    contact = found.scalar_one_or_none()
    if contact is None:
        contact = Contact(
            org_id=token.org_id, email=lead.email, email_norm=email_norm, name=lead.name, company=lead.company,
            phone=lead.phone, created_at=now,
        )
        session.add(contact)
        # Its rows have no relationship that would tell the order.
        await session.flush()
    return contact
