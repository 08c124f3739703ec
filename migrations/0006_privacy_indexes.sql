CREATE INDEX "notices_lead" ON "notices" USING btree ("org_id","lead_id");--> statement-breakpoint
CREATE INDEX "sends_draft" ON "sends" USING btree ("org_id","draft_id");