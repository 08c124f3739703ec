/** Settings of the Worker under test. Google and Slack are the emulators; for an AI a test puts a fake behind the same settings. */
export function workerSettings(services: {
  DATABASE_URL: string
  NEON_GATEWAY_URL: string
  google: string
  slack_webhook: string
}): Record<string, string> {
  const { DATABASE_URL, NEON_GATEWAY_URL, google, slack_webhook } = services
  return {
    DATABASE_URL,
    NEON_GATEWAY_URL,
    JWT_SECRET: 'test-only-jwt-secret-of-more-than-32-characters',
    ENCRYPTION_KEY: '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff',
    ADMIN_USERNAME: 'operator',
    ADMIN_PASSWORD: 'test-only-operator-password',
    BASE_URL: 'http://inlet.test',
    CORS_ORIGINS: 'http://console.test',
    GOOGLE_CLIENT_ID: 'test-client',
    GOOGLE_CLIENT_SECRET: 'test-client-secret',
    GOOGLE_OAUTH_REDIRECT_URI: 'http://inlet.test/oauth/google/callback',
    GOOGLE_PUBSUB_TOPIC: 'projects/test/topics/gmail',
    GOOGLE_PUBSUB_AUDIENCE: 'http://inlet.test/webhooks/gmail/push',
    GOOGLE_PUBSUB_SERVICE_ACCOUNT: 'push@test.iam.gserviceaccount.com',
    GMAIL_WEBHOOK_SECRET: 'test-only-webhook-secret',
    GOOGLE_AUTH_URL: `${google}/o/oauth2/v2/auth`,
    GOOGLE_TOKEN_URL: `${google}/oauth2/token`,
    GOOGLE_REVOKE_URL: `${google}/oauth2/revoke`,
    GOOGLE_ISSUER: google,
    GOOGLE_JWKS_URL: `${google}/oauth2/v3/certs`,
    GMAIL_API_BASE: google,
    SLACK_WEBHOOK_URL: slack_webhook,
    RATE_LIMIT_FORM_PER_MINUTE: '0',
    RATE_LIMIT_LOGIN_PER_MINUTE: '0',
  }
}
