CREATE TABLE "audit_chain" (
	"org_id" uuid NOT NULL,
	"seq" bigint NOT NULL,
	"audit_id" uuid NOT NULL,
	"hash" text NOT NULL,
	"chained_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "audit_chain_org_id_seq_pk" PRIMARY KEY("org_id","seq")
);
--> statement-breakpoint
CREATE TABLE "audit_logs" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"actor_type" text NOT NULL,
	"actor_id" text NOT NULL,
	"action" text NOT NULL,
	"entity" text NOT NULL,
	"entity_id" text NOT NULL,
	"fields" text[] DEFAULT '{}' NOT NULL,
	"request_id" text,
	"ip" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "audit_logs_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "audit_logs_actor_type" CHECK ("audit_logs"."actor_type" in ('user', 'operator', 'system'))
);
--> statement-breakpoint
CREATE TABLE "refresh_tokens" (
	"hash" text PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"session_id" uuid NOT NULL,
	"issued_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	"replaced_by" text
);
--> statement-breakpoint
CREATE TABLE "sessions" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"absolute_expires_at" timestamp (3) with time zone NOT NULL,
	"revoked_at" timestamp (3) with time zone,
	"revoke_reason" text,
	CONSTRAINT "sessions_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "sessions_id" UNIQUE("id")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"email" text NOT NULL,
	"email_norm" text NOT NULL,
	"name" text NOT NULL,
	"role" text NOT NULL,
	"password_hash" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_login_at" timestamp (3) with time zone,
	"disabled_at" timestamp (3) with time zone,
	CONSTRAINT "users_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "users_role" CHECK ("users"."role" in ('owner', 'admin', 'manager', 'agent'))
);
--> statement-breakpoint
CREATE TABLE "comments" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"conversation_id" uuid NOT NULL,
	"author_id" uuid NOT NULL,
	"body" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "comments_org_id_id_pk" PRIMARY KEY("org_id","id")
);
--> statement-breakpoint
CREATE TABLE "contact_handles" (
	"org_id" uuid NOT NULL,
	"channel" text NOT NULL,
	"handle" text NOT NULL,
	"contact_id" uuid NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "contact_handles_org_id_channel_handle_pk" PRIMARY KEY("org_id","channel","handle"),
	CONSTRAINT "contact_handles_channel" CHECK ("contact_handles"."channel" in ('email', 'form', 'whatsapp', 'sms', 'instagram', 'telegram', 'webchat', 'generic'))
);
--> statement-breakpoint
CREATE TABLE "contacts" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"email" text,
	"email_norm" text,
	"name" text,
	"company" text,
	"phone" text,
	"last_inbound_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "contacts_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "contacts_email" UNIQUE("org_id","email_norm")
);
--> statement-breakpoint
CREATE TABLE "conversations" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"contact_id" uuid,
	"channel" text NOT NULL,
	"mailbox_id" uuid,
	"provider_thread_id" text,
	"subject" text DEFAULT '' NOT NULL,
	"status" text DEFAULT 'open' NOT NULL,
	"assignee_id" uuid,
	"last_message_at" timestamp (3) with time zone NOT NULL,
	"last_inbound_at" timestamp (3) with time zone,
	"last_human_activity_at" timestamp (3) with time zone,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "conversations_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "conversations_channel" CHECK ("conversations"."channel" in ('email', 'form', 'whatsapp', 'sms', 'instagram', 'telegram', 'webchat', 'generic')),
	CONSTRAINT "conversations_status" CHECK ("conversations"."status" in ('open', 'waiting', 'closed', 'ignored'))
);
--> statement-breakpoint
CREATE TABLE "messages" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"conversation_id" uuid NOT NULL,
	"direction" text NOT NULL,
	"channel" text NOT NULL,
	"mailbox_id" uuid,
	"provider_message_id" text,
	"message_id" text,
	"in_reply_to" text,
	"references" text[] DEFAULT '{}' NOT NULL,
	"from_email" text,
	"from_name" text,
	"to" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"cc" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"subject" text DEFAULT '' NOT NULL,
	"text" text NOT NULL,
	"stripped_text" text NOT NULL,
	"hidden_text" text DEFAULT '' NOT NULL,
	"attachments" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"classification" text DEFAULT 'human' NOT NULL,
	"verdicts" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"no_auto_reply" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"dmarc" text,
	"body_hash" text,
	"send_id" uuid,
	"author_id" uuid,
	"sent_at" timestamp (3) with time zone,
	"received_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "messages_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "messages_direction" CHECK ("messages"."direction" in ('inbound', 'outbound')),
	CONSTRAINT "messages_channel" CHECK ("messages"."channel" in ('email', 'form', 'whatsapp', 'sms', 'instagram', 'telegram', 'webchat', 'generic')),
	CONSTRAINT "messages_classification" CHECK ("messages"."classification" in ('human', 'automated', 'bounce', 'list', 'own'))
);
--> statement-breakpoint
CREATE TABLE "drafts" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"conversation_id" uuid NOT NULL,
	"lead_id" uuid,
	"message_id" uuid NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"provider" text,
	"model" text,
	"text" text DEFAULT '' NOT NULL,
	"generated_text" text DEFAULT '' NOT NULL,
	"edited" boolean DEFAULT false NOT NULL,
	"category" text,
	"intent" text,
	"confidence" real,
	"needs_human" boolean,
	"reason" text,
	"price_guidance" text,
	"gate" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"decision" text,
	"ai_failure" jsonb,
	"reject_reason" text,
	"instruction" text,
	"decided_by" uuid,
	"decided_at" timestamp (3) with time zone,
	"send_id" uuid,
	"generation" integer DEFAULT 1 NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"lease_until" timestamp (3) with time zone,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "drafts_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "drafts_message" UNIQUE("org_id","message_id"),
	CONSTRAINT "drafts_status" CHECK ("drafts"."status" in ('pending', 'ready', 'approved', 'rejected', 'superseded')),
	CONSTRAINT "drafts_provider" CHECK ("drafts"."provider" in ('heuristic', 'income', 'openai')),
	CONSTRAINT "drafts_category" CHECK ("drafts"."category" in ('inquiry', 'other', 'spam', 'unsafe')),
	CONSTRAINT "drafts_decision" CHECK ("drafts"."decision" in ('auto_send', 'needs_review', 'no_reply'))
);
--> statement-breakpoint
CREATE TABLE "site_tokens" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"name" text NOT NULL,
	"hash" text NOT NULL,
	"hint" text NOT NULL,
	"created_by" uuid,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used_at" timestamp (3) with time zone,
	"revoked_at" timestamp (3) with time zone,
	CONSTRAINT "site_tokens_org_id_id_pk" PRIMARY KEY("org_id","id")
);
--> statement-breakpoint
CREATE TABLE "leads" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"contact_id" uuid NOT NULL,
	"conversation_id" uuid NOT NULL,
	"status" text DEFAULT 'received' NOT NULL,
	"source" text NOT NULL,
	"assignee_id" uuid,
	"received_at" timestamp (3) with time zone NOT NULL,
	"first_response_at" timestamp (3) with time zone,
	"custom" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"request_hash" text,
	"signals" text[] DEFAULT '{}' NOT NULL,
	"page_url" text,
	"utm" jsonb,
	"consent" jsonb,
	"version" integer DEFAULT 1 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "leads_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "leads_status" CHECK ("leads"."status" in ('received', 'processing', 'contacted', 'qualified', 'won', 'lost', 'spam'))
);
--> statement-breakpoint
CREATE TABLE "mailbox_days" (
	"org_id" uuid NOT NULL,
	"mailbox_id" uuid NOT NULL,
	"day" date NOT NULL,
	"used" integer DEFAULT 0 NOT NULL,
	"sequence_used" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "mailbox_days_org_id_mailbox_id_day_pk" PRIMARY KEY("org_id","mailbox_id","day")
);
--> statement-breakpoint
CREATE TABLE "mailbox_gaps" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"mailbox_id" uuid NOT NULL,
	"lost_cursor" text NOT NULL,
	"new_cursor" text NOT NULL,
	"searched_from_at" timestamp (3) with time zone NOT NULL,
	"detected_at" timestamp (3) with time zone NOT NULL,
	"closed_at" timestamp (3) with time zone,
	"recovered" integer DEFAULT 0 NOT NULL,
	CONSTRAINT "mailbox_gaps_org_id_id_pk" PRIMARY KEY("org_id","id")
);
--> statement-breakpoint
CREATE TABLE "mailboxes" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"provider" text NOT NULL,
	"account_subject" text NOT NULL,
	"email" text NOT NULL,
	"email_norm" text NOT NULL,
	"send_as" text[] DEFAULT '{}' NOT NULL,
	"status" text NOT NULL,
	"push" text DEFAULT 'off' NOT NULL,
	"auto_send" boolean DEFAULT true NOT NULL,
	"daily_cap" integer DEFAULT 1000 NOT NULL,
	"sequence_daily_cap" integer DEFAULT 50 NOT NULL,
	"sequence_gap_seconds" integer DEFAULT 480 NOT NULL,
	"next_sequence_at" timestamp (3) with time zone,
	"watch_expires_at" timestamp (3) with time zone,
	"last_synced_at" timestamp (3) with time zone,
	"last_push_at" timestamp (3) with time zone,
	"cursor_moved_at" timestamp (3) with time zone,
	"last_error" jsonb,
	"connected_at" timestamp (3) with time zone,
	"disconnected_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "mailboxes_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "mailboxes_account" UNIQUE("org_id","provider","account_subject"),
	CONSTRAINT "mailboxes_provider" CHECK ("mailboxes"."provider" in ('google', 'microsoft')),
	CONSTRAINT "mailboxes_status" CHECK ("mailboxes"."status" in ('connecting', 'connected', 'needs_scopes', 'reconnect_required', 'paused', 'disconnected')),
	CONSTRAINT "mailboxes_push" CHECK ("mailboxes"."push" in ('on', 'off'))
);
--> statement-breakpoint
CREATE TABLE "oauth_states" (
	"nonce_hash" text PRIMARY KEY NOT NULL,
	"org_id" uuid NOT NULL,
	"provider" text NOT NULL,
	"mailbox_id" uuid,
	"expected_email_norm" text,
	"started_by" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	CONSTRAINT "oauth_states_provider" CHECK ("oauth_states"."provider" in ('google', 'microsoft'))
);
--> statement-breakpoint
CREATE TABLE "notices" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"channel" text NOT NULL,
	"kind" text NOT NULL,
	"dedupe_key" text NOT NULL,
	"lead_id" uuid,
	"mailbox_id" uuid,
	"state" text DEFAULT 'pending' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp (3) with time zone NOT NULL,
	"lease_until" timestamp (3) with time zone,
	"last_error" jsonb,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"sent_at" timestamp (3) with time zone,
	CONSTRAINT "notices_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "notices_dedupe" UNIQUE("org_id","channel","dedupe_key"),
	CONSTRAINT "notices_channel" CHECK ("notices"."channel" in ('slack')),
	CONSTRAINT "notices_kind" CHECK ("notices"."kind" in ('lead_outcome', 'mailbox_reconnect_required')),
	CONSTRAINT "notices_state" CHECK ("notices"."state" in ('pending', 'sent', 'failed'))
);
--> statement-breakpoint
CREATE TABLE "notifications" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"type" text NOT NULL,
	"entity_type" text NOT NULL,
	"entity_id" uuid,
	"title" text NOT NULL,
	"body" text NOT NULL,
	"dedupe_key" text NOT NULL,
	"read_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "notifications_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "notifications_dedupe" UNIQUE("org_id","dedupe_key")
);
--> statement-breakpoint
CREATE TABLE "organizations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"slug" text NOT NULL,
	"name" text NOT NULL,
	"timezone" text DEFAULT 'UTC' NOT NULL,
	"business_hours" jsonb,
	"sla_minutes" integer,
	"ai_provider" text,
	"reply_mode" text DEFAULT 'draft' NOT NULL,
	"undo_seconds" integer DEFAULT 60 NOT NULL,
	"from_name" text,
	"postal_address" text,
	"reply_instructions" text DEFAULT '' NOT NULL,
	"allowed_link_hosts" text[] DEFAULT '{}' NOT NULL,
	"allowed_commitments" text[] DEFAULT '{}' NOT NULL,
	"slack_webhook_sealed" text,
	"form_allowed_origins" text[] DEFAULT '{}' NOT NULL,
	"form_redirect_url" text,
	"welcome_mail" boolean DEFAULT true NOT NULL,
	"retention_days" jsonb,
	"erasure_key_sealed" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "organizations_slug_unique" UNIQUE("slug"),
	CONSTRAINT "organizations_reply_mode" CHECK ("organizations"."reply_mode" in ('off', 'draft', 'auto')),
	CONSTRAINT "organizations_ai_provider" CHECK ("organizations"."ai_provider" in ('heuristic', 'income', 'openai')),
	CONSTRAINT "organizations_undo_seconds" CHECK ("organizations"."undo_seconds" between 0 and 86400)
);
--> statement-breakpoint
CREATE TABLE "dead_letters" (
	"id" uuid PRIMARY KEY NOT NULL,
	"org_id" uuid,
	"queue" text NOT NULL,
	"job" text NOT NULL,
	"payload" jsonb NOT NULL,
	"failure" jsonb NOT NULL,
	"attempts" integer NOT NULL,
	"as_of" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"retried_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"type" text NOT NULL,
	"payload" jsonb NOT NULL,
	"as_of" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"dispatched_at" timestamp (3) with time zone,
	CONSTRAINT "events_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "events_type" CHECK ("events"."type" in ('lead.created', 'lead.updated', 'lead.assigned', 'lead.score_changed', 'message.ingested', 'message.sent', 'draft.ready', 'conversation.updated', 'task.created', 'task.completed', 'contact.updated', 'campaign.completed', 'enrollment.replied', 'sla.warning', 'sla.breached', 'mailbox.reconnect_required', 'destination.disabled', 'draft.requested', 'send.ended', 'recipient.unsubscribed', 'ingest.dead'))
);
--> statement-breakpoint
CREATE TABLE "idempotency_keys" (
	"scope" text NOT NULL,
	"key" text NOT NULL,
	"request_hash" text NOT NULL,
	"state" text NOT NULL,
	"lease_until" timestamp (3) with time zone NOT NULL,
	"response_status" integer,
	"response_headers" jsonb,
	"response_sealed" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "idempotency_keys_scope_key_pk" PRIMARY KEY("scope","key"),
	CONSTRAINT "idempotency_keys_state" CHECK ("idempotency_keys"."state" in ('running', 'done'))
);
--> statement-breakpoint
CREATE TABLE "rate_limits" (
	"key" text NOT NULL,
	"window_at" timestamp (3) with time zone NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "rate_limits_key_window_at_pk" PRIMARY KEY("key","window_at")
);
--> statement-breakpoint
CREATE TABLE "sweep_runs" (
	"name" text NOT NULL,
	"scheduled_at" timestamp (3) with time zone NOT NULL,
	"cron" text NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"duration_ms" integer,
	"result" jsonb,
	"error" text,
	CONSTRAINT "sweep_runs_name_scheduled_at_pk" PRIMARY KEY("name","scheduled_at")
);
--> statement-breakpoint
CREATE TABLE "mail_events" (
	"provider" text NOT NULL,
	"dedupe_key" text NOT NULL,
	"kind" text NOT NULL,
	"send_id" uuid,
	"provider_message_id" text,
	"recipient" text,
	"detail" jsonb NOT NULL,
	"occurred_at" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"applied_at" timestamp (3) with time zone,
	CONSTRAINT "mail_events_provider_dedupe_key_pk" PRIMARY KEY("provider","dedupe_key"),
	CONSTRAINT "mail_events_kind" CHECK ("mail_events"."kind" in ('delivery', 'bounce', 'complaint', 'subscription'))
);
--> statement-breakpoint
CREATE TABLE "mail_templates" (
	"org_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"body" text NOT NULL,
	"updated_by" uuid,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "mail_templates_org_id_kind_pk" PRIMARY KEY("org_id","kind"),
	CONSTRAINT "mail_templates_kind" CHECK ("mail_templates"."kind" in ('welcome', 'admin_alert'))
);
--> statement-breakpoint
CREATE TABLE "outbox_mails" (
	"send_id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"raw" text NOT NULL,
	"accepted_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "outbox_mails_org_id_send_id_pk" PRIMARY KEY("org_id","send_id")
);
--> statement-breakpoint
CREATE TABLE "sends" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"state" text DEFAULT 'scheduled' NOT NULL,
	"transport" text NOT NULL,
	"mailbox_id" uuid,
	"conversation_id" uuid,
	"lead_id" uuid,
	"draft_id" uuid,
	"automatic" boolean NOT NULL,
	"to_email" text NOT NULL,
	"to_domain" text NOT NULL,
	"to_name" text,
	"subject" text NOT NULL,
	"text" text NOT NULL,
	"in_reply_to" text,
	"references" text[] DEFAULT '{}' NOT NULL,
	"provider_thread_id" text,
	"message_id" text NOT NULL,
	"provider_draft_id" text,
	"provider_message_id" text,
	"dedupe_key" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp (3) with time zone NOT NULL,
	"claim_token" uuid,
	"lease_until" timestamp (3) with time zone,
	"send_started_at" timestamp (3) with time zone,
	"sent_at" timestamp (3) with time zone,
	"waits_because" text,
	"skip_reason" text,
	"last_error" jsonb,
	"delivered_at" timestamp (3) with time zone,
	"bounced_at" timestamp (3) with time zone,
	"bounce" jsonb,
	"complained_at" timestamp (3) with time zone,
	"created_by" uuid,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "sends_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "sends_dedupe" UNIQUE("org_id","dedupe_key"),
	CONSTRAINT "sends_kind" CHECK ("sends"."kind" in ('reply', 'sequence', 'assignment', 'sla_reminder', 'sla_breach', 'welcome', 'admin_alert', 'operator_notice', 'magic_link', 'invitation', 'password_reset')),
	CONSTRAINT "sends_state" CHECK ("sends"."state" in ('scheduled', 'claimed', 'sending', 'sent', 'failed', 'unknown', 'review', 'skipped')),
	CONSTRAINT "sends_transport" CHECK ("sends"."transport" in ('mailbox', 'outbox', 'postmark', 'smtp')),
	CONSTRAINT "sends_mailbox" CHECK ("sends"."transport" <> 'mailbox' or "sends"."mailbox_id" is not null)
);
--> statement-breakpoint
CREATE TABLE "suppressions" (
	"id" uuid NOT NULL,
	"org_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"value_norm" text NOT NULL,
	"reason" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "suppressions_org_id_id_pk" PRIMARY KEY("org_id","id"),
	CONSTRAINT "suppressions_value" UNIQUE("org_id","kind","value_norm"),
	CONSTRAINT "suppressions_kind" CHECK ("suppressions"."kind" in ('email', 'domain', 'email_hash'))
);
--> statement-breakpoint
CREATE TABLE "transport_pauses" (
	"transport" text PRIMARY KEY NOT NULL,
	"paused_until" timestamp (3) with time zone NOT NULL,
	"failure" jsonb NOT NULL,
	"paused_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "transport_pauses_transport" CHECK ("transport_pauses"."transport" in ('mailbox', 'outbox', 'postmark', 'smtp'))
);
--> statement-breakpoint
ALTER TABLE "refresh_tokens" ADD CONSTRAINT "refresh_tokens_org_id_session_id_sessions_org_id_id_fk" FOREIGN KEY ("org_id","session_id") REFERENCES "public"."sessions"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sessions" ADD CONSTRAINT "sessions_org_id_user_id_users_org_id_id_fk" FOREIGN KEY ("org_id","user_id") REFERENCES "public"."users"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "comments" ADD CONSTRAINT "comments_org_id_conversation_id_conversations_org_id_id_fk" FOREIGN KEY ("org_id","conversation_id") REFERENCES "public"."conversations"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "comments" ADD CONSTRAINT "comments_org_id_author_id_users_org_id_id_fk" FOREIGN KEY ("org_id","author_id") REFERENCES "public"."users"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contact_handles" ADD CONSTRAINT "contact_handles_org_id_contact_id_contacts_org_id_id_fk" FOREIGN KEY ("org_id","contact_id") REFERENCES "public"."contacts"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "contacts" ADD CONSTRAINT "contacts_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_org_id_contact_id_contacts_org_id_id_fk" FOREIGN KEY ("org_id","contact_id") REFERENCES "public"."contacts"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "conversations" ADD CONSTRAINT "conversations_org_id_assignee_id_users_org_id_id_fk" FOREIGN KEY ("org_id","assignee_id") REFERENCES "public"."users"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "messages" ADD CONSTRAINT "messages_org_id_conversation_id_conversations_org_id_id_fk" FOREIGN KEY ("org_id","conversation_id") REFERENCES "public"."conversations"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "messages" ADD CONSTRAINT "messages_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_org_id_conversation_id_conversations_org_id_id_fk" FOREIGN KEY ("org_id","conversation_id") REFERENCES "public"."conversations"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_org_id_message_id_messages_org_id_id_fk" FOREIGN KEY ("org_id","message_id") REFERENCES "public"."messages"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "drafts" ADD CONSTRAINT "drafts_org_id_lead_id_leads_org_id_id_fk" FOREIGN KEY ("org_id","lead_id") REFERENCES "public"."leads"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "site_tokens" ADD CONSTRAINT "site_tokens_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "site_tokens" ADD CONSTRAINT "site_tokens_org_id_created_by_users_org_id_id_fk" FOREIGN KEY ("org_id","created_by") REFERENCES "public"."users"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leads" ADD CONSTRAINT "leads_org_id_contact_id_contacts_org_id_id_fk" FOREIGN KEY ("org_id","contact_id") REFERENCES "public"."contacts"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leads" ADD CONSTRAINT "leads_org_id_conversation_id_conversations_org_id_id_fk" FOREIGN KEY ("org_id","conversation_id") REFERENCES "public"."conversations"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leads" ADD CONSTRAINT "leads_org_id_assignee_id_users_org_id_id_fk" FOREIGN KEY ("org_id","assignee_id") REFERENCES "public"."users"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mailbox_days" ADD CONSTRAINT "mailbox_days_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mailbox_gaps" ADD CONSTRAINT "mailbox_gaps_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mailboxes" ADD CONSTRAINT "mailboxes_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "oauth_states" ADD CONSTRAINT "oauth_states_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "oauth_states" ADD CONSTRAINT "oauth_states_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notices" ADD CONSTRAINT "notices_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notices" ADD CONSTRAINT "notices_org_id_lead_id_leads_org_id_id_fk" FOREIGN KEY ("org_id","lead_id") REFERENCES "public"."leads"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notices" ADD CONSTRAINT "notices_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "notifications" ADD CONSTRAINT "notifications_org_id_user_id_users_org_id_id_fk" FOREIGN KEY ("org_id","user_id") REFERENCES "public"."users"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "events" ADD CONSTRAINT "events_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "mail_templates" ADD CONSTRAINT "mail_templates_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "outbox_mails" ADD CONSTRAINT "outbox_mails_org_id_send_id_sends_org_id_id_fk" FOREIGN KEY ("org_id","send_id") REFERENCES "public"."sends"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sends" ADD CONSTRAINT "sends_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sends" ADD CONSTRAINT "sends_org_id_mailbox_id_mailboxes_org_id_id_fk" FOREIGN KEY ("org_id","mailbox_id") REFERENCES "public"."mailboxes"("org_id","id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sends" ADD CONSTRAINT "sends_org_id_conversation_id_conversations_org_id_id_fk" FOREIGN KEY ("org_id","conversation_id") REFERENCES "public"."conversations"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sends" ADD CONSTRAINT "sends_org_id_lead_id_leads_org_id_id_fk" FOREIGN KEY ("org_id","lead_id") REFERENCES "public"."leads"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "sends" ADD CONSTRAINT "sends_org_id_draft_id_drafts_org_id_id_fk" FOREIGN KEY ("org_id","draft_id") REFERENCES "public"."drafts"("org_id","id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "suppressions" ADD CONSTRAINT "suppressions_org_id_organizations_id_fk" FOREIGN KEY ("org_id") REFERENCES "public"."organizations"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_chain_audit" ON "audit_chain" USING btree ("org_id","audit_id");--> statement-breakpoint
CREATE INDEX "audit_logs_entity" ON "audit_logs" USING btree ("org_id","entity","entity_id");--> statement-breakpoint
CREATE INDEX "audit_logs_created" ON "audit_logs" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "refresh_tokens_session" ON "refresh_tokens" USING btree ("org_id","session_id");--> statement-breakpoint
CREATE UNIQUE INDEX "users_email_norm" ON "users" USING btree ("email_norm");--> statement-breakpoint
CREATE INDEX "comments_conversation" ON "comments" USING btree ("org_id","conversation_id","created_at");--> statement-breakpoint
CREATE INDEX "contact_handles_contact" ON "contact_handles" USING btree ("org_id","contact_id");--> statement-breakpoint
CREATE UNIQUE INDEX "conversations_thread" ON "conversations" USING btree ("org_id","mailbox_id","provider_thread_id") WHERE provider_thread_id is not null;--> statement-breakpoint
CREATE INDEX "conversations_recent" ON "conversations" USING btree ("org_id","last_message_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "conversations_contact" ON "conversations" USING btree ("org_id","contact_id");--> statement-breakpoint
CREATE UNIQUE INDEX "messages_provider" ON "messages" USING btree ("org_id","mailbox_id","provider_message_id") WHERE provider_message_id is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "messages_routed" ON "messages" USING btree ("org_id","channel","provider_message_id") WHERE provider_message_id is not null and mailbox_id is null;--> statement-breakpoint
CREATE INDEX "messages_conversation" ON "messages" USING btree ("org_id","conversation_id","received_at");--> statement-breakpoint
CREATE INDEX "messages_message_id" ON "messages" USING btree ("org_id","message_id");--> statement-breakpoint
CREATE INDEX "drafts_recent" ON "drafts" USING btree ("org_id","status","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "drafts_conversation" ON "drafts" USING btree ("org_id","conversation_id");--> statement-breakpoint
CREATE INDEX "drafts_lead" ON "drafts" USING btree ("org_id","lead_id");--> statement-breakpoint
CREATE INDEX "drafts_pending" ON "drafts" USING btree ("created_at") WHERE status = 'pending';--> statement-breakpoint
CREATE INDEX "site_tokens_recent" ON "site_tokens" USING btree ("org_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "leads_recent" ON "leads" USING btree ("org_id","received_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "leads_status" ON "leads" USING btree ("org_id","status","received_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "leads_contact" ON "leads" USING btree ("org_id","contact_id");--> statement-breakpoint
CREATE INDEX "leads_conversation" ON "leads" USING btree ("org_id","conversation_id");--> statement-breakpoint
CREATE INDEX "leads_created" ON "leads" USING brin ("created_at");--> statement-breakpoint
CREATE INDEX "mailbox_gaps_mailbox" ON "mailbox_gaps" USING btree ("org_id","mailbox_id","detected_at");--> statement-breakpoint
CREATE INDEX "mailboxes_email" ON "mailboxes" USING btree ("provider","email_norm");--> statement-breakpoint
CREATE INDEX "mailboxes_status_synced" ON "mailboxes" USING btree ("status","last_synced_at");--> statement-breakpoint
CREATE INDEX "notices_lead" ON "notices" USING btree ("org_id","lead_id");--> statement-breakpoint
CREATE INDEX "notices_due" ON "notices" USING btree ("next_attempt_at") WHERE state = 'pending';--> statement-breakpoint
CREATE INDEX "notifications_user" ON "notifications" USING btree ("org_id","user_id","created_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "dead_letters_recent" ON "dead_letters" USING btree ("created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "events_undispatched" ON "events" USING btree ("created_at") WHERE dispatched_at is null;--> statement-breakpoint
CREATE INDEX "sweep_runs_recent" ON "sweep_runs" USING btree ("name","started_at" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "mail_events_waiting" ON "mail_events" USING btree ("created_at") WHERE applied_at is null;--> statement-breakpoint
CREATE INDEX "mail_events_created" ON "mail_events" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "mail_events_subscriptions" ON "mail_events" USING btree ("recipient") WHERE kind = 'subscription';--> statement-breakpoint
CREATE INDEX "sends_due" ON "sends" USING btree ("next_attempt_at") WHERE state = 'scheduled';--> statement-breakpoint
CREATE INDEX "sends_leased" ON "sends" USING btree ("lease_until") WHERE state = 'claimed';--> statement-breakpoint
CREATE INDEX "sends_started" ON "sends" USING btree ("send_started_at") WHERE state in ('sending', 'unknown');--> statement-breakpoint
CREATE INDEX "sends_recent" ON "sends" USING btree ("org_id","created_at" DESC NULLS LAST,"id" DESC NULLS LAST);--> statement-breakpoint
CREATE INDEX "sends_recipient" ON "sends" USING btree ("org_id","to_email","created_at");--> statement-breakpoint
CREATE INDEX "sends_domain" ON "sends" USING btree ("org_id","to_domain","created_at");--> statement-breakpoint
CREATE INDEX "sends_conversation" ON "sends" USING btree ("org_id","conversation_id");--> statement-breakpoint
CREATE INDEX "sends_lead" ON "sends" USING btree ("org_id","lead_id");--> statement-breakpoint
CREATE INDEX "sends_draft" ON "sends" USING btree ("org_id","draft_id");--> statement-breakpoint
CREATE INDEX "sends_provider_message_id" ON "sends" USING btree ("org_id","provider_message_id");--> statement-breakpoint
CREATE INDEX "sends_id" ON "sends" USING btree ("id");--> statement-breakpoint
CREATE INDEX "sends_message_id" ON "sends" USING btree ("org_id","message_id");--> statement-breakpoint
CREATE INDEX "sends_reported" ON "sends" USING btree ("provider_message_id") WHERE transport = 'postmark';