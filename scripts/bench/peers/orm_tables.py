"""The tables as the ORM sees them: the peers' own three, and those that the product writes for a lead."""
import uuid

from sqlalchemy import Column, DateTime, String
from sqlalchemy.dialects.postgresql import JSONB, UUID
from sqlalchemy.orm import declarative_base

Base = declarative_base()


def org_key() -> Column:
    return Column(UUID(as_uuid=True), primary_key=True)


def row_key() -> Column:
    return Column(UUID(as_uuid=True), primary_key=True, default=uuid.uuid4)


def reference() -> Column:
    return Column(UUID(as_uuid=True), nullable=False)


def required(kind=String, **more) -> Column:
    return Column(kind, nullable=False, **more)


def instant() -> Column:
    return Column(DateTime(timezone=True))


class SiteToken(Base):
    __tablename__ = "bench_tokens"
    org_id, id, hash, revoked_at = org_key(), row_key(), required(), instant()


class Contact(Base):
    __tablename__ = "bench_contacts"
    org_id, id, email, email_norm = org_key(), row_key(), required(), required()
    name, company, phone, created_at = Column(String), Column(String), Column(String), instant()


class Lead(Base):
    __tablename__ = "bench_leads"
    org_id, id, contact_id, source = org_key(), row_key(), reference(), required()
    status, service, message = required(default="received"), Column(String), Column(String)
    page_url, custom, received_at = Column(String), required(JSONB), instant()


class Event(Base):
    __tablename__ = "bench_events"
    org_id, id, type, payload, created_at = org_key(), row_key(), required(), required(JSONB), instant()


class Organization(Base):
    __tablename__ = "organizations"
    id, reply_mode = row_key(), required()


class OwnContact(Base):
    __tablename__ = "contacts"
    org_id, id, email, email_norm = org_key(), row_key(), required(), required()
    name, company, phone, last_inbound_at = Column(String), Column(String), Column(String), instant()


class OwnConversation(Base):
    __tablename__ = "conversations"
    org_id, id, contact_id, channel = org_key(), row_key(), reference(), required()
    subject, last_message_at, last_inbound_at = required(), instant(), instant()


class OwnMessage(Base):
    __tablename__ = "messages"
    org_id, id, conversation_id, direction, channel = org_key(), row_key(), reference(), required(), required()
    from_email, from_name, subject, text = required(), Column(String), required(), required()
    stripped_text, body_hash, received_at = required(), required(), instant()


class OwnLead(Base):
    __tablename__ = "leads"
    org_id, id, contact_id, conversation_id = org_key(), row_key(), reference(), reference()
    source, received_at, custom = required(), instant(), required(JSONB)
    request_hash, page_url = required(), Column(String)


class OwnDraft(Base):
    __tablename__ = "drafts"
    org_id, id, conversation_id, lead_id = org_key(), row_key(), reference(), reference()
    message_id = reference()


class OwnEvent(Base):
    __tablename__ = "events"
    org_id, id, type, payload, as_of = org_key(), row_key(), required(), required(JSONB), instant()


class OwnAuditLog(Base):
    __tablename__ = "audit_logs"
    org_id, id, at, actor_type = org_key(), row_key(), instant(), required()
    actor_id, action, entity, entity_id = required(), required(), required(), required()
