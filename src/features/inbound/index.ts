export { suspectInjection } from './policy/injection'
export { formRoutes } from './routes'
export { buryMail, ingestMail } from './service/ingest-mail'
