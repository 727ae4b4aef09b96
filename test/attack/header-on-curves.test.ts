import { attack } from './suite'

attack('header', ['ES256', 'EdDSA'])
