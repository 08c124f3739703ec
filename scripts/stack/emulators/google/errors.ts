// Errors in the words of Google's APIs.

const STATUS: Record<number, string> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
}

export function googleError(
  code: 400 | 401 | 403 | 404,
  message: string,
  reason: string,
  extra: object = {},
): Response {
  const error = {
    code,
    message,
    errors: [{ message, domain: 'global', reason, ...extra }],
    status: STATUS[code],
  }
  return Response.json({ error }, { status: code })
}

export const unauthorized = () =>
  googleError(
    401,
    'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.',
    'authError',
    { location: 'Authorization', locationType: 'header' },
  )

export const notFound = () => googleError(404, 'Requested entity was not found.', 'notFound')

export const oauthError = (status: number, error: string, error_description: string) =>
  Response.json({ error, error_description }, { status })
