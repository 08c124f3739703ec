"""What both peers share: the body's rules, the bearer token, and a lead's id that follows from its key."""
import hashlib
import re
import uuid
from typing import Any, Dict, Optional

from fastapi import Header, HTTPException
from pydantic import BaseModel, Field

EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
SET_SCOPE = (
    "select set_config('role', 'inlet_app', true), set_config('app.org_id', {0}, true),"
    " set_config('app.visibility', 'all', true)"
)


class NewLead(BaseModel):
    request_id: Optional[str] = Field(None, max_length=200)
    email: str = Field(..., min_length=3, max_length=254)
    name: Optional[str] = Field(None, max_length=200)
    phone: Optional[str] = Field(None, max_length=50)
    company: Optional[str] = Field(None, max_length=200)
    service: Optional[str] = Field(None, max_length=200)
    message: Optional[str] = Field(None, max_length=20_000)
    page_url: Optional[str] = Field(None, max_length=2000)
    source: Optional[str] = Field(None, max_length=60)
    custom: Dict[str, Any] = Field(default_factory=dict)


class ReceivedLead(BaseModel):
    leadId: uuid.UUID
    timestamp: str
    status: str


class Token(BaseModel):
    org_id: uuid.UUID
    id: uuid.UUID
    hash: str


def bearer(authorization: str = Header("")) -> Token:
    scheme, _, token = authorization.partition(" ")
    parts = token.split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        raise HTTPException(401, "Send a valid token")
    return Token(org_id=parts[0], id=parts[1], hash=hashlib.sha256(token.encode()).hexdigest())


def email_norm_of(lead: NewLead) -> str:
    email = lead.email.strip().lower()
    if not EMAIL.fullmatch(email):
        raise HTTPException(400, "email is not an e-mail address")
    return email


def lead_id_of(token: Token, key: str) -> uuid.UUID:
    return uuid.UUID(bytes=hashlib.sha256(f"lead:{token.org_id}:{key}".encode()).digest()[:16], version=5)


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
