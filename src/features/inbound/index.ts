export { suspectInjection } from './policy/injection'
export { formRoutes } from './routes'
export { type ArrivedMail, ingestMail } from './service/ingest-mail'
